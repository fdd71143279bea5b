//! Access control lists as zkCli writes and reads them: `scheme:id:cdrwa`, separated by commas.

use wire::{Acl, Id, Perms};

/// In the order in which they are shown.
const LETTERS: [(char, Perms); 5] = [
    ('c', Perms::CREATE),
    ('d', Perms::DELETE),
    ('r', Perms::READ),
    ('w', Perms::WRITE),
    ('a', Perms::ADMIN),
];

/// A set of permissions as letters.
pub(super) fn permissions(perms: Perms) -> String {
    LETTERS
        .iter()
        .filter(|(_, perm)| perms.intersects(*perm))
        .map(|(letter, _)| *letter)
        .collect()
}

/// A list in one line, as [`parse`] reads it.
pub(in crate::tools) fn text(list: &[Acl]) -> String {
    let entry = |entry: &Acl| format!("{}:{}", entry.id, permissions(entry.perms));
    list.iter().map(entry).collect::<Vec<_>>().join(",")
}

/// Reads a list. What is not of the form is left out, as zkCli does, and `remark`ed.
pub(super) fn parse(text: &str, mut remark: impl FnMut(String)) -> Vec<Acl> {
    let mut list = Vec::new();
    for entry in text.split(',') {
        let parts = entry
            .split_once(':')
            .and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once(':')?)));
        let Some((scheme, (id, letters))) = parts else {
            remark(format!("{entry} does not have the form scheme:id:perm"));
            continue;
        };
        let mut perms = Perms(0);
        for letter in letters.chars() {
            match LETTERS.iter().find(|(known, _)| *known == letter) {
                Some((_, perm)) => perms = perms | *perm,
                None => remark(format!("Unknown perm type: {letter}")),
            }
        }
        list.push(Acl {
            perms,
            id: Id::new(scheme, id),
        });
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_what_is_wrong_is_remarked() {
        let mut remarks = Vec::new();
        let list = parse("digest:u:h=:cdrwa,ip:::1:rx,bad,a:b", |remark| {
            remarks.push(remark);
        });
        let entry = |perms, scheme, id| Acl {
            perms: Perms(perms),
            id: Id::new(scheme, id),
        };
        assert_eq!(list, [entry(31, "digest", "u:h="), entry(1, "ip", "::1")]);
        assert_eq!(
            remarks,
            [
                "Unknown perm type: x",
                "bad does not have the form scheme:id:perm",
                "a:b does not have the form scheme:id:perm",
            ]
        );
        assert_eq!(permissions(Perms(31)), "cdrwa");
        assert_eq!(permissions(Perms(3)), "rw");
    }
}
