//! Which strings are paths.

/// Where the digest does not look: Apache updates quota statistics there without transactions.
const UNDIGESTED: &str = "/zookeeper/";

/// The znode that holds the ensemble's configuration.
pub(crate) const CONFIG: &str = "/zookeeper/config";

/// Whether `path` may name a znode.
///
/// Characters are judged as UTF-16 units, as Apache does; that excludes everything beyond the
/// basic plane.
pub(crate) fn is_valid(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    rest.is_empty()
        || (rest.split('/').all(|name| !matches!(name, "" | "." | ".."))
            && rest.chars().all(is_allowed))
}

const fn is_allowed(c: char) -> bool {
    !matches!(c as u32,
        0..=0x1f | 0x7f..=0x9f | 0xd800..=0xf8ff | 0xfff0..)
}

/// The path before the last slash, which is empty for children of the root; `None` for what
/// neither create nor delete takes as a path.
pub(crate) fn parent(path: &str) -> Option<&str> {
    if path.contains('\0') {
        return None;
    }
    path.rfind('/').map(|slash| &path[..slash])
}

/// Parent path and name in a transaction or a snapshot; `None` for the root and for what is no
/// path of a znode.
pub(crate) fn split(path: &str) -> Option<(&str, &str)> {
    path.rsplit_once('/')
        .filter(|(parent, name)| *parent != "/" && !name.is_empty())
}

/// Whether the znode cannot be deleted.
pub(crate) fn is_special(path: &str) -> bool {
    matches!(path, "/" | "/zookeeper" | "/zookeeper/quota" | CONFIG)
}

/// Whether the digest covers the znode.
pub(crate) fn is_digested(path: &str) -> bool {
    !path.starts_with(UNDIGESTED)
}

/// How events and answers name the znode that is internally the empty path.
pub(crate) fn shown(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_judged_as_apache_does() {
        for good in [
            "/",
            "/a",
            "/a/b",
            "/a.b/..c",
            "/...",
            "/~",
            "/\u{a0}ü",
            "/\u{f900}\u{ffef}",
        ] {
            assert!(is_valid(good), "{good:?}");
        }
        for bad in [
            "",
            "a",
            "/a/",
            "//",
            "/a//b",
            "/.",
            "/..",
            "/a/./b",
            "/a/..",
            "/\0",
            "/\u{1f}",
            "/\u{7f}",
            "/\u{9f}",
            "/\u{e000}",
            "/\u{f8ff}",
            "/\u{fff0}",
            "/\u{ffff}",
            "/\u{1f600}",
        ] {
            assert!(!is_valid(bad), "{bad:?}");
        }
    }
}
