//! The ensemble and the session: config, reconfig, sync, version, and what a session owns.

use std::collections::BTreeMap;

use wire::client::{
    BarePath, GetAllChildrenNumberResponse, GetDataResponse, GetEphemeralsResponse, PathRequest,
    ReconfigRequest, Request, SyncResponse,
};
use wire::config::EnsembleConfig;

use super::{Context, checked, take};
use crate::admin;
use crate::tools::cli::failure::Failure;
use crate::tools::cli::line::{Words, flag, value};
use crate::tools::cli::output::Answer;

pub(super) const CONFIG_USAGE: &str = "[-c] [-w] [-s]";
pub(super) const COUNT_USAGE: &str = "path";
pub(super) const EPHEMERALS_USAGE: &str = "path";
pub(super) const SYNC_USAGE: &str = "path";
pub(super) const RECONFIG_USAGE: &str = "[-s] [-v version] [[-file path] | [-members \
    serverID=host:port1:port2;port3[,...]*]] | [-add serverId=host:port1:port2;port3[,...]]* \
    [-remove serverId[,...]*]";

const CONFIG: &str = "/zookeeper/config";

pub(super) fn config(context: &Context<'_>, words: &[String]) -> Result<(), Failure> {
    let words = take(words, &[flag("s"), flag("w"), flag("c")], 0, CONFIG_USAGE)?;
    let watch = words.has("w");
    let path = CONFIG.to_owned();
    let found: GetDataResponse = context.call(Request::GetData(PathRequest { path, watch }))?;
    let text = found.data.as_deref().map(String::from_utf8_lossy);
    let text = match text {
        None => "null".to_owned(),
        Some(text) if words.has("c") => connect_string(&text),
        Some(text) => text.into_owned(),
    };
    context.answer(&Answer::Config(text));
    if words.has("s") {
        context.answer(&Answer::Stat(found.stat));
    }
    Ok(())
}

/// The version and the addresses for clients.
fn connect_string(text: &str) -> String {
    let Ok(config) = text.parse::<EnsembleConfig>() else {
        return " ".to_owned();
    };
    if config.members.is_empty() {
        return " ".to_owned();
    }
    let clients = config
        .members
        .values()
        .filter_map(|member| member.client.as_ref());
    let clients: Vec<String> = clients.map(ToString::to_string).collect();
    format!("{:x} {}", config.version, clients.join(","))
}

pub(super) fn reconfig(context: &Context<'_>, words: &[String]) -> Result<(), Failure> {
    let usage = Failure::Usage(format!("{} {RECONFIG_USAGE}", words[0]));
    let known = [
        flag("s"),
        value("v"),
        value("file"),
        value("members"),
        value("add"),
        value("remove"),
    ];
    let words = take(words, &known, 0, RECONFIG_USAGE)?;
    let request = change(&words, usage)?;
    let done: GetDataResponse = context.call(Request::Reconfig(request))?;
    let text = done.data.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    context.answer(&Answer::Reconfigured(text));
    if words.has("s") {
        context.answer(&Answer::Stat(done.stat));
    }
    Ok(())
}

fn change(words: &Words, usage: Failure) -> Result<ReconfigRequest, Failure> {
    let refused = |why: &str| Err(Failure::Words(why.to_owned()));
    let whole = words.has("file") || words.has("members");
    let steps = words.has("add") || words.has("remove");
    if !whole && !steps {
        return Err(usage);
    }
    let config_id = match words.value("v") {
        None => -1,
        Some(text) => match i64::from_str_radix(text, 16) {
            Ok(version) => version,
            Err(_) => return refused("-v must be followed by a long (configuration version)"),
        },
    };
    if whole && steps {
        return refused(
            "Can't use -file or -members together with -add or -remove (mixing incremental and \
             non-incremental modes is not allowed)",
        );
    }
    if words.has("file") && words.has("members") {
        return refused(
            "Can't use -file and -members together (conflicting non-incremental modes)",
        );
    }
    let text = |name: &str| words.value(name).unwrap_or_default().to_owned();
    let new_members = match words.value("file") {
        Some(file) => members_of(file)?,
        None => text("members").to_lowercase(),
    };
    Ok(ReconfigRequest {
        joining: text("add").to_lowercase(),
        leaving: text("remove"),
        new_members,
        config_id,
    })
}

/// The lines of a configuration file that say who belongs to the ensemble.
fn members_of(file: &str) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|why| Failure::Words(format!("Error processing {file}: {why}")))?;
    let lines = text.lines().map(str::trim);
    let parts: BTreeMap<&str, &str> = lines
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
        .filter(|(key, _)| {
            ["server.", "group.", "weight."]
                .iter()
                .any(|kind| key.starts_with(kind))
        })
        .collect();
    let parts = parts.iter().map(|(key, value)| format!("{key}={value}"));
    Ok(parts.collect::<Vec<_>>().join(","))
}

pub(super) fn sync(context: &Context<'_>, words: &[String]) -> Result<(), Failure> {
    let words = take(words, &[], 1, SYNC_USAGE)?;
    let path = words.plain[0].clone();
    checked(&path)?;
    let code = match context.call::<SyncResponse>(Request::Sync(BarePath { path })) {
        Ok(_) => 0,
        Err(refused) => refused.code,
    };
    context.answer(&Answer::Synced(code));
    Ok(())
}

pub(super) fn ephemerals(context: &Context<'_>, words: &[String]) -> Result<(), Failure> {
    let words = take(words, &[], 0, EPHEMERALS_USAGE)?;
    let path = words.plain.first().map_or("/", String::as_str).to_owned();
    checked(&path)?;
    let request = Request::GetEphemerals(BarePath { path });
    let found: GetEphemeralsResponse = context.call(request)?;
    let paths = found
        .ephemerals
        .iter()
        .map(|path| context.session.local(path));
    context.answer(&Answer::Ephemerals(paths.collect()));
    Ok(())
}

pub(super) fn count(context: &Context<'_>, words: &[String]) -> Result<(), Failure> {
    let words = take(words, &[], 1, COUNT_USAGE)?;
    let path = words.plain[0].clone();
    checked(&path)?;
    let request = Request::GetAllChildrenNumber(BarePath { path });
    let found: GetAllChildrenNumberResponse = context.call(request)?;
    context.answer(&Answer::Count(found.total));
    Ok(())
}

pub(super) fn version(context: &Context<'_>, _: &[String]) -> Result<(), Failure> {
    context.answer(&Answer::Version(admin::version().to_owned()));
    Ok(())
}
