//! Who may do what: getAcl, setAcl, addauth, whoami.

use wire::client::{
    AuthPacket, BarePath, ErrorCode, GetAclResponse, Request, SetAclRequest, StatResponse,
    WhoAmIResponse,
};

use super::{Context, checked, take, trees, version};
use crate::tools::cli::acl;
use crate::tools::cli::failure::{Failure, Refused};
use crate::tools::cli::line::{flag, value};
use crate::tools::cli::output::Answer;

pub(super) const ADD_AUTH_USAGE: &str = "scheme auth";
pub(super) const GET_ACL_USAGE: &str = "[-s] path";
pub(super) const SET_ACL_USAGE: &str = "[-s] [-v version] [-R] path acl";

pub(super) fn add_auth(context: &Context<'_>, words: &[String]) -> Result<(), Failure> {
    let words = take(words, &[], 1, ADD_AUTH_USAGE)?;
    let auth = words.plain.get(1).map(|text| text.clone().into());
    context.call::<()>(Request::Auth(AuthPacket {
        kind: 0,
        scheme: words.plain[0].clone(),
        auth,
    }))?;
    Ok(())
}

pub(super) fn who_am_i(context: &Context<'_>, _: &[String]) -> Result<(), Failure> {
    let found: WhoAmIResponse = context.call(Request::WhoAmI(()))?;
    context.answer(&Answer::WhoAmI(found.infos));
    Ok(())
}

pub(super) fn get_acl(context: &Context<'_>, words: &[String]) -> Result<(), Failure> {
    let words = take(words, &[flag("s")], 1, GET_ACL_USAGE)?;
    let path = words.plain[0].clone();
    checked(&path)?;
    let found: GetAclResponse = context.call(Request::GetAcl(BarePath { path }))?;
    context.answer(&Answer::Acl(found.acl));
    if words.has("s") {
        context.answer(&Answer::Stat(found.stat));
    }
    Ok(())
}

pub(super) fn set_acl(context: &Context<'_>, words: &[String]) -> Result<(), Failure> {
    let known = [flag("s"), value("v"), flag("R")];
    let words = take(words, &known, 2, SET_ACL_USAGE)?;
    let path = &words.plain[0];
    let acl = acl::parse(&words.plain[1], |remark| context.output.remark(&remark));
    let version = version(&words)?;
    checked(path)?;
    let set = |path: &str| {
        if acl.is_empty() {
            return Err(Refused::new(ErrorCode::InvalidAcl, None).into());
        }
        let request = Request::SetAcl(SetAclRequest {
            path: path.to_owned(),
            acl: acl.clone(),
            version,
        });
        let done: StatResponse = context.call(request)?;
        if words.has("s") {
            context.answer(&Answer::Stat(done.stat));
        }
        Ok(())
    };
    if words.has("R") {
        trees::walk(context, path, set)
    } else {
        set(path)
    }
}
