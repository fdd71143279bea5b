//! Single znodes: create, delete, get, set, stat.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use wire::Acl;
use wire::client::{
    CreateMode, CreateRequest, CreateResponse, CreateTtlRequest, DeleteRequest, ErrorCode,
    GetDataResponse, PathRequest, Request, SetDataRequest, StatResponse,
};

use super::{Context, checked, take, version};
use crate::tools::cli::acl;
use crate::tools::cli::failure::{Failure, Refused};
use crate::tools::cli::line::{Words, flag, value};
use crate::tools::cli::output::{Answer, Form};

pub(super) const CREATE_USAGE: &str = "[-s] [-e] [-c] [-t ttl] path [data] [acl]";
pub(super) const DELETE_USAGE: &str = "[-v version] path";
pub(super) const GET_USAGE: &str = "[-s] [-w] [-b] [-x] path";
pub(super) const SET_USAGE: &str = "path data [-s] [-v version] [-b]";
pub(super) const STAT_USAGE: &str = "[-w] path";

/// What follows the first line of how to use `get`.
const GET_OPTIONS: &str = "
 -b   Output data in base64 format
 -s   Print znode stats additionally
 -w   Watch for changes on the znode
 -x   Output data in hexdump format
";
const SET_OPTIONS: &str = "
 -b         Supply data in base64 format
 -s         Print znode stats additionally
 -v <arg>   Set with an expected version
";

pub(super) fn create(context: &Context<'_>, words: &[String]) -> Result<(), Failure> {
    let known = [flag("e"), flag("s"), flag("c"), value("t")];
    let words = take(words, &known, 1, CREATE_USAGE)?;
    let (mode, ttl) = mode(&words)?;
    let path = words.plain[0].clone();
    let acl = match words.plain.get(2) {
        Some(text) => acl::parse(text, |remark| context.output.remark(&remark)),
        None => Acl::open(),
    };
    // The name of a sequential znode may end with its parent's slash.
    let suffix = if mode.is_sequential() { "1" } else { "" };
    checked(&format!("{path}{suffix}"))?;
    let data = words.plain.get(1).map(|text| Bytes::from(text.clone()));
    let flags = mode.code();
    let create = |path, data, acl| CreateRequest {
        path,
        data,
        acl,
        flags,
    };
    let request = match mode {
        _ if acl.is_empty() => {
            return Err(invalid_acl(
                context,
                Refused::new(ErrorCode::InvalidAcl, None),
            ));
        }
        CreateMode::Container => Request::CreateContainer(create(path, data, acl)),
        CreateMode::PersistentWithTtl | CreateMode::PersistentSequentialWithTtl => {
            Request::CreateTtl(CreateTtlRequest {
                path,
                data,
                acl,
                flags,
                ttl,
            })
        }
        _ => Request::Create(create(path, data, acl)),
    };
    // The answers of the newer operations begin with the path too.
    match context.call::<CreateResponse>(request) {
        Ok(created) => {
            let path = context.session.local(&created.path);
            context.answer(&Answer::Created(path));
            Ok(())
        }
        Err(refused) if refused.is(ErrorCode::InvalidAcl) => Err(invalid_acl(context, refused)),
        Err(refused) if refused.is(ErrorCode::EphemeralOnLocalSession) => {
            let remark = "Unable to create ephemeral node on a local session";
            context.output.remark(remark);
            Err(refused.into())
        }
        Err(refused) => Err(refused.into()),
    }
}

fn invalid_acl(context: &Context<'_>, refused: Refused) -> Failure {
    context.output.remark(&refused.general());
    refused.into()
}

fn mode(words: &Words) -> Result<(CreateMode, i64), Failure> {
    let refused = |why: &str| Err(Failure::Words(why.to_owned()));
    let (ephemeral, sequential) = (words.has("e"), words.has("s"));
    if words.has("c") && (ephemeral || sequential) {
        return refused(
            "-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential.",
        );
    }
    let Some(ttl) = words.value("t") else {
        let mode = match (words.has("c"), ephemeral, sequential) {
            (true, ..) => CreateMode::Container,
            (_, true, true) => CreateMode::EphemeralSequential,
            (_, true, false) => CreateMode::Ephemeral,
            (_, false, true) => CreateMode::PersistentSequential,
            (_, false, false) => CreateMode::Persistent,
        };
        return Ok((mode, 0));
    };
    let Ok(ttl) = ttl.parse() else {
        return refused("-t argument must be a long value");
    };
    if ephemeral {
        return refused("TTLs cannot be used with Ephemeral znodes");
    }
    if words.has("c") {
        return refused("TTLs cannot be used with Container znodes");
    }
    let mode = if sequential {
        CreateMode::PersistentSequentialWithTtl
    } else {
        CreateMode::PersistentWithTtl
    };
    Ok((mode, ttl))
}

pub(super) fn delete(context: &Context<'_>, words: &[String]) -> Result<(), Failure> {
    let words = take(words, &[value("v")], 1, DELETE_USAGE)?;
    let version = version(&words)?;
    let path = words.plain[0].clone();
    checked(&path)?;
    context.call::<()>(Request::Delete(DeleteRequest { path, version }))?;
    Ok(())
}

pub(super) fn get(context: &Context<'_>, words: &[String]) -> Result<(), Failure> {
    let known = [flag("s"), flag("w"), flag("b"), flag("x")];
    let usage = format!("{GET_USAGE}{GET_OPTIONS}");
    let words = take(words, &known, 1, &usage)?;
    let path = words.plain[0].clone();
    checked(&path)?;
    let form = match (words.has("b"), words.has("x")) {
        (true, _) => Form::Base64,
        (false, true) => Form::Hex,
        (false, false) => Form::Text,
    };
    let watch = words.has("w");
    let request = Request::GetData(PathRequest { path, watch });
    let found: GetDataResponse = context.call(request)?;
    context.answer(&Answer::Data(found.data, form));
    if words.has("s") {
        context.answer(&Answer::Stat(found.stat));
    }
    Ok(())
}

pub(super) fn set(context: &Context<'_>, words: &[String]) -> Result<(), Failure> {
    let known = [flag("s"), value("v"), flag("b")];
    let usage = format!("{SET_USAGE}{SET_OPTIONS}");
    let words = take(words, &known, 2, &usage)?;
    let path = words.plain[0].clone();
    let data = if words.has("b") {
        let decoded = STANDARD.decode(&words.plain[1]);
        decoded.map_err(|why| Failure::Words(format!("the data is not base64: {why}")))?
    } else {
        words.plain[1].clone().into_bytes()
    };
    let version = version(&words)?;
    checked(&path)?;
    let request = Request::SetData(SetDataRequest {
        path,
        data: Some(data.into()),
        version,
    });
    let done: StatResponse = context.call(request)?;
    if words.has("s") {
        context.answer(&Answer::Stat(done.stat));
    }
    Ok(())
}

pub(super) fn exists_request(path: &str, watch: bool) -> Request {
    let path = path.to_owned();
    Request::Exists(PathRequest { path, watch })
}

pub(super) fn stat(context: &Context<'_>, words: &[String]) -> Result<(), Failure> {
    let words = take(words, &[flag("w")], 1, STAT_USAGE)?;
    let path = &words.plain[0];
    checked(path)?;
    let found: StatResponse = context.call(exists_request(path, words.has("w")))?;
    context.answer(&Answer::Stat(found.stat));
    Ok(())
}
