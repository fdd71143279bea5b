//! What was set, where, and what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::keys::{self, Meaning};
use super::numbers::{self, Reading, Whole};
use super::overrides::Overrides;
use super::properties::{self, Property};
use super::{ConfigError, Given, Origin, Warning};

/// What was set, and which of it nobody has taken yet.
pub(super) struct Settings<'a> {
    pub(super) file: &'a Path,
    left: BTreeMap<String, Property>,
    /// All that was set, as it stands, and was not set again elsewhere.
    given: Vec<Property>,
    taken: BTreeSet<String>,
    warnings: Vec<Warning>,
}

impl<'a> Settings<'a> {
    /// Of a key that stands twice the later counts, as in Apache, and an override more than the
    /// file. Keys may be written with `zookeeper.` before them, since that is how Apache names
    /// the system property.
    pub(super) fn new(file: &'a Path, text: &str, overrides: &Overrides) -> Self {
        let mut settings = Self {
            file,
            left: BTreeMap::new(),
            given: Vec::new(),
            taken: BTreeSet::new(),
            warnings: Vec::new(),
        };
        let overrides = overrides.settings().iter().cloned();
        for property in properties::parse(text).into_iter().chain(overrides) {
            let key = property
                .key
                .strip_prefix("zookeeper.")
                .unwrap_or(&property.key)
                .to_owned();
            let property = Property {
                key: key.clone(),
                value: property.value.trim().to_owned(),
                ..property
            };
            let Some(earlier) = settings.left.insert(key, property.clone()) else {
                settings.given.push(property);
                continue;
            };
            if matches!(property.origin, Origin::Line(_)) {
                settings.warn(&earlier, "stands again further down, where it counts");
            }
            settings.given.retain(|given| given.key != property.key);
            settings.given.push(property);
        }
        settings
    }

    pub(super) fn peek(&self, key: &str) -> Option<Property> {
        self.left.get(key).cloned()
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Property> {
        self.taken.insert(key.to_owned());
        self.left.remove(key)
    }

    pub(super) fn take_prefix(&mut self, prefix: &str) -> Vec<Property> {
        let keys: Vec<String> = self
            .left
            .keys()
            .filter(|key| key.starts_with(prefix))
            .cloned()
            .collect();
        keys.iter().filter_map(|key| self.take(key)).collect()
    }

    pub(super) fn path(&mut self, key: &str) -> Result<Option<PathBuf>, ConfigError> {
        match self.take(key) {
            Some(property) if property.value.is_empty() => Err(self.wrong(&property, "is empty")),
            found => Ok(found.map(|property| PathBuf::from(property.value))),
        }
    }

    /// A number of `range`. What Apache starts with is not refused: there the nearest counts, or
    /// the default, and a warning says so.
    pub(super) fn number<T: Whole>(
        &mut self,
        key: &str,
        range: RangeInclusive<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(property) = self.take(key) else {
            return Ok(None);
        };
        match numbers::read(key, &property.value, &range) {
            Reading::Number(number) => Ok(Some(number)),
            Reading::Nearest(number) => {
                let (value, least, greatest) = (&property.value, range.start(), range.end());
                let why = format!(
                    "{value} is not one of {least} to {greatest}: {number} counts in its place"
                );
                self.warn(&property, &why);
                Ok(Some(number))
            }
            Reading::Default => {
                let why = format!(
                    "{:?} is no number that Apache would read: the default counts",
                    property.value
                );
                self.warn(&property, &why);
                Ok(None)
            }
            Reading::Refused => Err(self.not_in(&property, &range)),
        }
    }

    fn not_in<T: Display>(&self, property: &Property, range: &RangeInclusive<T>) -> ConfigError {
        let why = format!(
            "{:?} is not a number from {} to {}",
            property.value,
            range.start(),
            range.end()
        );
        self.wrong(property, &why)
    }

    /// A share of the whole; beyond it the nearest counts.
    pub(super) fn share(&mut self, key: &str) -> Result<Option<f64>, ConfigError> {
        let Some(property) = self.take(key) else {
            return Ok(None);
        };
        let share = match property.value.parse::<f64>() {
            Ok(share) if !share.is_nan() => share,
            _ => return Err(self.not_in(&property, &(0.0..=1.0))),
        };
        let nearest = share.clamp(0.0, 1.0);
        if nearest != share {
            let why = format!("{share} is not one of 0 to 1: {nearest} counts in its place");
            self.warn(&property, &why);
        }
        Ok(Some(nearest))
    }

    /// A factor such as 0.33, in percent; negative switches off.
    pub(super) fn factor(&mut self, key: &str) -> Result<Option<u64>, ConfigError> {
        let Some(property) = self.take(key) else {
            return Ok(None);
        };
        match property.value.parse::<f64>() {
            Ok(factor) if factor.is_finite() => Ok(Some((factor.clamp(0.0, 1e6) * 100.0) as u64)),
            _ => Err(self.wrong(&property, "write a number such as 0.33")),
        }
    }

    pub(super) fn port_and_origin(
        &mut self,
        key: &str,
    ) -> Result<Option<(u16, Origin)>, ConfigError> {
        let Some(property) = self.take(key) else {
            return Ok(None);
        };
        match property.value.parse() {
            Ok(port) => Ok(Some((port, property.origin))),
            Err(_) => Err(self.not_in(&property, &(0..=u16::MAX))),
        }
    }

    pub(super) fn flag(&mut self, key: &str) -> Result<Option<bool>, ConfigError> {
        let Some(property) = self.take(key) else {
            return Ok(None);
        };
        match property.value.to_ascii_lowercase().as_str() {
            "true" | "yes" => Ok(Some(true)),
            "false" | "no" => Ok(Some(false)),
            _ => Err(self.wrong(&property, "write true or false")),
        }
    }

    pub(super) fn wrong(&self, property: &Property, why: &str) -> ConfigError {
        ConfigError::Setting {
            file: self.file.to_owned(),
            origin: property.origin.clone(),
            key: property.key.clone(),
            why: why.to_owned(),
        }
    }

    pub(super) fn missing(&self, key: &'static str, why: &str) -> ConfigError {
        ConfigError::Missing {
            file: self.file.to_owned(),
            key,
            why: why.to_owned(),
        }
    }

    pub(super) fn warn(&mut self, property: &Property, why: &str) {
        self.warnings.push(Warning {
            origin: property.origin.clone(),
            key: property.key.clone(),
            why: why.to_owned(),
        });
    }

    /// What became of all that was set, and what is to be said of it.
    pub(super) fn finish(mut self) -> (Vec<Given>, Vec<Warning>) {
        for property in std::mem::take(&mut self.left).into_values() {
            if let Some(why) = no_effect(&property) {
                self.warn(&property, &why);
            }
        }
        self.warnings.sort_by(|a, b| a.origin.cmp(&b.origin));
        let given = self.given.into_iter().map(|property| {
            let warning = self
                .warnings
                .iter()
                .find(|warning| warning.key == property.key && warning.origin == property.origin);
            let effect = match (keys::find(&property.key), warning) {
                (_, Some(warning)) => warning.why.clone(),
                (Some((_, Meaning::Does { what, .. })), None) => (*what).to_owned(),
                (Some((_, Meaning::Always { why, .. } | Meaning::Nothing(why))), None) => {
                    (*why).to_owned()
                }
                (None, None) => String::new(),
            };
            Given {
                is_honoured: warning.is_none(),
                effect,
                key: property.key,
                value: property.value,
                origin: property.origin,
            }
        });
        (given.collect(), self.warnings)
    }

    /// The keys that were asked for, whether set or not.
    #[cfg(test)]
    pub(super) fn asked_for(&self) -> &BTreeSet<String> {
        &self.taken
    }
}

/// Why a setting that nobody took has no effect, unless it says what happens anyway.
fn no_effect(property: &Property) -> Option<String> {
    match keys::find(&property.key) {
        Some((_, Meaning::Always { value, why })) => {
            let is_so = value
                .split(',')
                .any(|value| value.eq_ignore_ascii_case(&property.value));
            (!is_so).then(|| (*why).to_owned())
        }
        Some((_, Meaning::Nothing(why))) => Some((*why).to_owned()),
        Some((_, Meaning::Does { .. })) | None => Some(match keys::alike(&property.key) {
            Some(meant) => format!("is no key of Apache's: did you mean {meant}?"),
            None => "has no meaning here (Apache takes it as a system property)".to_owned(),
        }),
    }
}
