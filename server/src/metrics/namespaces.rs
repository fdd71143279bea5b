//! Bytes that clients read and write, by the first part of the path.

use std::collections::BTreeMap;

use parking_lot::RwLock;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{LabelPair, MetricFamily, MetricType};
use wire::txn::Txn;

use super::Summary;

/// The label that names it, Apache's.
const KEY: &str = "key";
/// So many are told apart, so that a client that makes up many costs no memory.
const APART: usize = 256;
/// All others.
const REST: &str = "(others)";
/// What Apache counts for a Stat.
const STAT: usize = 68;

/// Sizes of one kind of operation, by namespace. As Apache's, the path's length is part of each.
pub(crate) struct Namespaces {
    name: &'static str,
    help: &'static str,
    description: Desc,
    known: RwLock<BTreeMap<String, Summary>>,
}

impl Namespaces {
    pub(super) fn new(name: &'static str, help: &'static str) -> Result<Self, prometheus::Error> {
        let labels = vec![KEY.to_owned()];
        Ok(Self {
            name,
            help,
            description: Desc::new(name.to_owned(), help.to_owned(), labels, Default::default())?,
            known: RwLock::default(),
        })
    }

    /// Data was read. `record` is the answer's: data and Stat.
    pub(crate) fn data_read(&self, path: &str, record: usize) {
        self.observe(path, record.saturating_sub(4));
    }

    /// Names of children were read. `record` is the answer's, which begins with their number.
    pub(crate) fn children_read(&self, path: &str, record: &[u8], has_stat: bool) {
        let Some(count) = record.first_chunk() else {
            return;
        };
        let lengths = 4 * (1 + u32::from_be_bytes(*count) as usize);
        let stat = if has_stat { 0 } else { STAT };
        self.observe(path, (record.len() + stat).saturating_sub(lengths));
    }

    /// A transaction was applied.
    pub(crate) fn written(&self, txn: &Txn) {
        let data = |data: &Option<bytes::Bytes>| data.as_ref().map_or(0, bytes::Bytes::len);
        match txn {
            Txn::Create(t) => self.observe(&t.path, data(&t.data)),
            Txn::CreateContainer(t) => self.observe(&t.path, data(&t.data)),
            Txn::CreateTtl(t) => self.observe(&t.path, data(&t.data)),
            Txn::SetData(t) => self.observe(&t.path, data(&t.data)),
            Txn::Delete(t) => self.observe(&t.path, 0),
            Txn::CloseSession(Some(t)) => {
                t.paths_to_delete
                    .iter()
                    .for_each(|path| self.observe(path, 0));
            }
            Txn::Multi(parts) => {
                let has_failed = parts.iter().any(|(_, part)| matches!(part, Txn::Error(_)));
                if !has_failed {
                    parts.iter().for_each(|(_, part)| self.written(part));
                }
            }
            Txn::CloseSession(None)
            | Txn::CreateSession(_)
            | Txn::SetAcl(_)
            | Txn::Check(_)
            | Txn::Error(_) => {}
        }
    }

    fn observe(&self, path: &str, bytes: usize) {
        let Some(namespace) = path.split('/').nth(1).filter(|part| !part.is_empty()) else {
            return;
        };
        let amount = (path.len() + bytes) as f64;
        let known = self.known.read();
        let rest = || known.get(REST).filter(|_| known.len() > APART);
        if let Some(summary) = known.get(namespace).or_else(rest) {
            return summary.observe(amount);
        }
        drop(known);
        let mut known = self.known.write();
        let namespace = if known.len() < APART { namespace } else { REST };
        // A name that is valid for all is valid for one.
        if !known.contains_key(namespace)
            && let Ok(new) = Summary::new(self.name, self.help)
        {
            known.insert(namespace.to_owned(), new);
        }
        if let Some(summary) = known.get(namespace) {
            summary.observe(amount);
        }
    }

    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    /// Each namespace's sizes.
    pub(crate) fn summaries(&self) -> Vec<(String, Summary)> {
        let known = self.known.read();
        let copy = |(name, summary): (&String, &Summary)| (name.clone(), summary.clone());
        known.iter().map(copy).collect()
    }

    /// Forgets all.
    pub(crate) fn reset(&self) {
        self.known.write().clear();
    }
}

/// What a registry keeps of one.
pub(super) struct Shown(pub(super) std::sync::Arc<Namespaces>);

impl Collector for Shown {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut metrics = Vec::new();
        for (namespace, summary) in self.0.summaries() {
            let mut label = LabelPair::default();
            label.set_name(KEY.to_owned());
            label.set_value(namespace);
            for mut family in summary.collect() {
                for mut metric in family.take_metric() {
                    metric.set_label(vec![label.clone()]);
                    metrics.push(metric);
                }
            }
        }
        if metrics.is_empty() {
            return Vec::new();
        }
        let mut family = MetricFamily::default();
        family.set_name(self.0.name.to_owned());
        family.set_help(self.0.help.to_owned());
        family.set_field_type(MetricType::SUMMARY);
        family.set_metric(metrics);
        vec![family]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(namespaces: &Namespaces) -> Vec<(String, u64, f64)> {
        let read = |(name, summary): (String, Summary)| {
            let reading = summary.read();
            (name, reading.count, reading.sum)
        };
        namespaces.summaries().into_iter().map(read).collect()
    }

    /// The sizes that Apache 3.9.5 shows for the same.
    #[test]
    fn path_data_and_stat_count() {
        let namespaces = Namespaces::new("read_per_namespace", "Bytes").expect("a name");
        namespaces.data_read("/app/a", 4 + STAT);
        namespaces.children_read("/app", &[0, 0, 0, 1, 0, 0, 0, 1, b'a'], false);
        namespaces.data_read("/", 4 + STAT);
        assert_eq!(sums(&namespaces), [("app".to_owned(), 2, 147.0)]);
    }

    #[test]
    fn so_many_are_told_apart_and_no_more() {
        let namespaces = Namespaces::new("write_per_namespace", "Bytes").expect("a name");
        for number in 0..APART + 10 {
            namespaces.observe(&format!("/{number}"), 0);
        }
        namespaces.observe("/0/again", 0);
        let sums = sums(&namespaces);
        assert_eq!(sums.len(), APART + 1);
        let count = |name: &str| sums.iter().find(|sum| sum.0 == name).map(|sum| sum.1);
        assert_eq!((count("0"), count(REST)), (Some(2), Some(10)));
    }
}
