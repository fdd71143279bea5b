//! Quotas: setquota, listquota, delquota.

use bytes::Bytes;
use wire::Acl;
use wire::client::{
    CreateMode, CreateRequest, CreateResponse, DeleteRequest, ErrorCode, GetChildrenResponse,
    GetDataResponse, PathRequest, Request, SetDataRequest, StatResponse,
};

use super::{Context, checked, child, take};
use crate::tools::cli::failure::{Failure, Refused};
use crate::tools::cli::line::{flag, sort, value};
use crate::tools::cli::output::Answer;
use crate::tools::cli::quota::{self, Quota};

pub(super) const SET_USAGE: &str = "-n|-b|-N|-B val path";
pub(super) const LIST_USAGE: &str = "path";
pub(super) const DELETE_USAGE: &str = "[-n|-b|-N|-B] path";

const OPTIONS: [&str; 4] = ["n", "b", "N", "B"];

fn refused(why: impl Into<String>) -> Failure {
    Failure::Words(why.into())
}

fn data(context: &Context<'_>, path: String) -> Result<Quota, Refused> {
    let watch = false;
    let request = Request::GetData(PathRequest { path, watch });
    let found: GetDataResponse = context.call(request)?;
    let text = found.data.unwrap_or_default();
    Ok(Quota::parse(&String::from_utf8_lossy(&text)))
}

pub(super) fn set(context: &Context<'_>, words: &[String]) -> Result<(), Failure> {
    let sorted = sort(&words[1..], &OPTIONS.map(value))?;
    let Some((option, number)) = sorted.one_of()? else {
        return Err(refused(
            "org.apache.commons.cli.MissingOptionException: Missing required option: [-n num soft \
             quota, -b bytes soft quota, -N num hard quota, -B bytes hard quota]",
        ));
    };
    let Some(path) = sorted.plain.first() else {
        return Err(Failure::Usage(format!("{} {SET_USAGE}", words[0])));
    };
    checked(path)?;
    if path == "/" {
        return Err(refused("Path must not end with / character"));
    }
    if path == quota::ROOT || path.starts_with("/zookeeper/quota/") {
        return Err(refused(
            "cannot set a quota under the path: /zookeeper/quota",
        ));
    }
    let Ok(number) = number.parse::<i64>() else {
        let remark = "NumberFormatException happens when parsing the option value";
        context.output.remark(remark);
        return Ok(());
    };
    let mut wanted = Quota::NONE;
    match option {
        "n" | "N" if number <= 0 => {
            let remark = "the num quota must be greater than zero";
            context.output.remark(remark);
            return Ok(());
        }
        "b" | "B" if number < 0 => {
            let remark = "the bytes quota must be greater than or equal to zero";
            context.output.remark(remark);
            return Ok(());
        }
        option => *wanted.field(option) = number,
    }
    create(context, path, option, wanted)
}

fn create(
    context: &Context<'_>,
    path: &str,
    option: &str,
    mut wanted: Quota,
) -> Result<(), Failure> {
    if context.exists(path)?.is_none() {
        return Err(refused(format!("{path} does not exist.")));
    }
    refuse_quota_below(context, path)?;
    refuse_quota_above(context, path)?;
    let limits = quota::limits_path(path);
    if context.exists(&limits)?.is_none() {
        for (at, _) in format!("{path}/").match_indices('/').skip(1) {
            make(context, format!("{}{}", quota::ROOT, &path[..at]), None)?;
        }
        make(context, limits, Some(wanted.to_string()))?;
        let none = quota::plain(Quota {
            count: 0,
            bytes: 0,
            ..Quota::NONE
        });
        make(context, quota::stats_path(path), Some(none))?;
    } else {
        let number = *wanted.field(option);
        wanted = data(context, limits.clone())?;
        *wanted.field(option) = number;
        write(context, limits, wanted)?;
    }
    warn_of_excess(context, path, wanted)
}

fn make(context: &Context<'_>, path: String, data: Option<String>) -> Result<(), Failure> {
    let request = Request::Create(CreateRequest {
        path,
        data: data.map(Bytes::from),
        acl: Acl::open(),
        flags: CreateMode::Persistent.code(),
    });
    match context.call::<CreateResponse>(request) {
        Err(other) if !other.is(ErrorCode::NodeExists) => Err(other.into()),
        _ => Ok(()),
    }
}

fn write(context: &Context<'_>, path: String, quota: Quota) -> Result<(), Failure> {
    let request = Request::SetData(SetDataRequest {
        path,
        data: Some(quota.to_string().into()),
        version: -1,
    });
    context.call::<StatResponse>(request)?;
    Ok(())
}

fn warn_of_excess(context: &Context<'_>, path: &str, limits: Quota) -> Result<(), Failure> {
    let used = data(context, quota::stats_path(path))?;
    let below = |limit: i64, used: i64| limit > -1 && limit < used;
    for (what, soft, hard, used) in [
        ("count", limits.count, limits.hard_count, used.count),
        ("bytes", limits.bytes, limits.hard_bytes, used.bytes),
    ] {
        if below(soft, used) || below(hard, used) {
            context.output.notice(&format!(
                "[Warning]: the {what} quota you create is less than the existing {what}:{used}"
            ));
        }
    }
    Ok(())
}

fn names(context: &Context<'_>, path: String) -> Result<Vec<String>, Refused> {
    let watch = false;
    let request = Request::GetChildren(PathRequest { path, watch });
    match context.call::<GetChildrenResponse>(request) {
        Ok(mut found) => {
            found.children.sort_unstable();
            Ok(found.children)
        }
        Err(absent) if absent.is(ErrorCode::NoNode) => Ok(Vec::new()),
        Err(other) => Err(other),
    }
}

fn refuse_quota_below(context: &Context<'_>, path: &str) -> Result<(), Failure> {
    let mut to_visit = vec![path.to_owned()];
    while let Some(at) = to_visit.pop() {
        for name in names(context, format!("{}{at}", quota::ROOT))? {
            if name == "zookeeper_limits" && at != path {
                return Err(refused(format!(
                    "{path} has a child {at} which has a quota"
                )));
            }
            to_visit.push(child(&at, &name));
        }
    }
    Ok(())
}

fn refuse_quota_above(context: &Context<'_>, path: &str) -> Result<(), Failure> {
    for (at, _) in path.match_indices('/').skip(1) {
        let above = &path[..at];
        let found = names(context, format!("{}{above}", quota::ROOT))?;
        if found.iter().any(|name| name == "zookeeper_limits") {
            return Err(refused(format!(
                "{path} has a parent {above} which has a quota"
            )));
        }
    }
    Ok(())
}

pub(super) fn list(context: &Context<'_>, words: &[String]) -> Result<(), Failure> {
    let words = take(words, &[], 1, LIST_USAGE)?;
    let path = &words.plain[0];
    let limits = quota::limits_path(path);
    context.output.remark(&format!("absolute path is {limits}"));
    let found = data(context, limits)
        .and_then(|limits| Ok((limits, data(context, quota::stats_path(path))?)));
    match found {
        Ok((limits, used)) => context.answer(&Answer::Quota {
            path: path.clone(),
            limits: limits.to_string(),
            used: quota::plain(used),
        }),
        Err(absent) if absent.is(ErrorCode::NoNode) => {
            context
                .output
                .remark(&format!("quota for {path} does not exist."));
        }
        Err(other) => return Err(other.into()),
    }
    Ok(())
}

pub(super) fn delete(context: &Context<'_>, words: &[String]) -> Result<(), Failure> {
    let sorted = sort(&words[1..], &OPTIONS.map(flag))?;
    let option = sorted.one_of()?.map(|(option, _)| option);
    let Some(path) = sorted.plain.first() else {
        return Err(Failure::Usage(format!("{} {DELETE_USAGE}", words[0])));
    };
    let limits = quota::limits_path(path);
    checked(&limits)?;
    if context.exists(&limits)?.is_none() {
        context
            .output
            .notice(&format!("Quota does not exist for {path}"));
        return Ok(());
    }
    if let Some(option) = option {
        let mut quota = data(context, limits.clone())?;
        *quota.field(option) = -1;
        return write(context, limits, quota);
    }
    remove(context, limits)?;
    remove(context, quota::stats_path(path))?;
    // Then all that was there only to lead to them.
    let mut at = format!("{}{path}", quota::ROOT);
    while at != quota::ROOT && names(context, at.clone())?.is_empty() {
        remove(context, at.clone())?;
        at.truncate(at.rfind('/').unwrap_or(0));
    }
    Ok(())
}

fn remove(context: &Context<'_>, path: String) -> Result<(), Failure> {
    let version = -1;
    match context.call::<()>(Request::Delete(DeleteRequest { path, version })) {
        Err(other) if !other.is(ErrorCode::NoNode) => Err(other.into()),
        _ => Ok(()),
    }
}
