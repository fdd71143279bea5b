//! The commands: what each is called, how it is used, what it does.

mod access;
mod ensemble;
mod quotas;
mod trees;
mod watching;
mod znodes;

use wire::client::{ErrorCode, Request};
use wire::{Record, Stat};

use super::failure::{Failure, Refused};
use super::line::{Known, Words, sort};
use super::output::{Answer, Output};
use super::session::Session;

/// One command.
pub(super) struct Command {
    pub(super) name: &'static str,
    /// What stands behind the name.
    pub(super) usage: &'static str,
    pub(super) run: fn(&Context<'_>, &[String]) -> Result<(), Failure>,
}

/// Those that need a session, sorted by name.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "addWatch",
        usage: watching::ADD_USAGE,
        run: watching::add_watch,
    },
    Command {
        name: "addauth",
        usage: access::ADD_AUTH_USAGE,
        run: access::add_auth,
    },
    Command {
        name: "config",
        usage: ensemble::CONFIG_USAGE,
        run: ensemble::config,
    },
    Command {
        name: "create",
        usage: znodes::CREATE_USAGE,
        run: znodes::create,
    },
    Command {
        name: "delete",
        usage: znodes::DELETE_USAGE,
        run: znodes::delete,
    },
    Command {
        name: "deleteall",
        usage: trees::DELETE_ALL_USAGE,
        run: trees::delete_all,
    },
    Command {
        name: "delquota",
        usage: quotas::DELETE_USAGE,
        run: quotas::delete,
    },
    Command {
        name: "get",
        usage: znodes::GET_USAGE,
        run: znodes::get,
    },
    Command {
        name: "getAcl",
        usage: access::GET_ACL_USAGE,
        run: access::get_acl,
    },
    Command {
        name: "getAllChildrenNumber",
        usage: ensemble::COUNT_USAGE,
        run: ensemble::count,
    },
    Command {
        name: "getEphemerals",
        usage: ensemble::EPHEMERALS_USAGE,
        run: ensemble::ephemerals,
    },
    Command {
        name: "listquota",
        usage: quotas::LIST_USAGE,
        run: quotas::list,
    },
    Command {
        name: "ls",
        usage: trees::LIST_USAGE,
        run: trees::list,
    },
    Command {
        name: "reconfig",
        usage: ensemble::RECONFIG_USAGE,
        run: ensemble::reconfig,
    },
    Command {
        name: "removewatches",
        usage: watching::REMOVE_USAGE,
        run: watching::remove_watches,
    },
    Command {
        name: "set",
        usage: znodes::SET_USAGE,
        run: znodes::set,
    },
    Command {
        name: "setAcl",
        usage: access::SET_ACL_USAGE,
        run: access::set_acl,
    },
    Command {
        name: "setquota",
        usage: quotas::SET_USAGE,
        run: quotas::set,
    },
    Command {
        name: "stat",
        usage: znodes::STAT_USAGE,
        run: znodes::stat,
    },
    Command {
        name: "sync",
        usage: ensemble::SYNC_USAGE,
        run: ensemble::sync,
    },
    Command {
        name: "version",
        usage: "",
        run: ensemble::version,
    },
    Command {
        name: "whoami",
        usage: "",
        run: access::who_am_i,
    },
];

/// What a command works with.
pub(super) struct Context<'a> {
    pub(super) session: &'a Session,
    pub(super) output: &'a Output,
}

impl Context<'_> {
    fn call<T: Record>(&self, request: Request) -> Result<T, Refused> {
        let reply = self.session.call(request)?;
        let broken = |_| Refused::new(ErrorCode::MarshallingError, None);
        T::from_bytes(&reply.body).map_err(broken)
    }

    /// The znode's state; `None` if there is no such znode.
    fn exists(&self, path: &str) -> Result<Option<Stat>, Refused> {
        let request = znodes::exists_request(path, false);
        match self.call::<wire::client::StatResponse>(request) {
            Ok(found) => Ok(Some(found.stat)),
            Err(refused) if refused.is(ErrorCode::NoNode) => Ok(None),
            Err(refused) => Err(refused),
        }
    }

    fn answer(&self, answer: &Answer) {
        self.output.answer(answer);
    }
}

/// Sorts a command's words, of which at least `least` must be plain.
fn take(words: &[String], known: &[Known], least: usize, usage: &str) -> Result<Words, Failure> {
    let sorted = sort(&words[1..], known)?;
    if sorted.plain.len() < least {
        return Err(Failure::Usage(format!("{} {usage}", words[0])));
    }
    Ok(sorted)
}

/// Refuses what cannot be a path, before a server is asked.
fn checked(path: &str) -> Result<(), Failure> {
    let refused = |why: String| Err(Failure::Words(why));
    if path.is_empty() {
        return refused("Path length must be > 0".to_owned());
    }
    if !path.starts_with('/') {
        return refused("Path must start with / character".to_owned());
    }
    if path.len() > 1 && path.ends_with('/') {
        return refused("Path must not end with / character".to_owned());
    }
    let mut at = 0;
    // Positions count UTF-16 units, as Java's do.
    for part in path.split('/') {
        let end = at + part.encode_utf16().count();
        let why = match part {
            "" if at > 0 && path.len() > 1 => Some(("empty node name specified", at)),
            "." | ".." => Some(("relative paths not allowed", end - 1)),
            _ => odd_character(part).map(|(why, place)| (why, at + place)),
        };
        if let Some((why, place)) = why {
            return refused(format!(
                "Invalid path string \"{path}\" caused by {why} @{place}"
            ));
        }
        at = end + 1;
    }
    Ok(())
}

fn odd_character(part: &str) -> Option<(&'static str, usize)> {
    part.encode_utf16().enumerate().find_map(|(place, unit)| {
        let why = match unit {
            0 => "null character not allowed",
            0x01..=0x1f | 0x7f..=0x9f | 0xd800..=0xf8ff | 0xfff0..=0xffff => "invalid character",
            _ => return None,
        };
        Some((why, place))
    })
}

fn child(parent: &str, name: &str) -> String {
    if parent == "/" {
        format!("/{name}")
    } else {
        format!("{parent}/{name}")
    }
}

/// A version that is expected; -1 for any.
fn version(words: &Words) -> Result<i32, Failure> {
    match words.value("v") {
        None => Ok(-1),
        Some(text) => text
            .parse()
            .map_err(|_| Failure::Words(format!("-v argument must be an int value, not {text:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_refused_as_zkcli_does() {
        for path in ["/", "/a", "/a/b", "/a/...", "/zookeeper/ü"] {
            assert_eq!(checked(path), Ok(()), "{path}");
        }
        for (path, message) in [
            ("", "Path length must be > 0"),
            ("a", "Path must start with / character"),
            ("/a/", "Path must not end with / character"),
            (
                "/p//q",
                "Invalid path string \"/p//q\" caused by empty node name specified @3",
            ),
            (
                "/p/./q",
                "Invalid path string \"/p/./q\" caused by relative paths not allowed @3",
            ),
            (
                "/p/../q",
                "Invalid path string \"/p/../q\" caused by relative paths not allowed @4",
            ),
            (
                "/p/..",
                "Invalid path string \"/p/..\" caused by relative paths not allowed @4",
            ),
            (
                "/p\u{7f}",
                "Invalid path string \"/p\u{7f}\" caused by invalid character @2",
            ),
        ] {
            let refused = checked(path).expect_err(path);
            assert_eq!(refused.to_string(), message, "{path}");
        }
    }

    #[test]
    fn commands_are_sorted_for_the_help() {
        let names: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        assert_eq!(names, sorted);
    }
}
