//! Answers' records as text, without what two runs cannot have in common.

use wire::client::{
    Create2Response, GetAclResponse, GetChildren2Response, GetChildrenResponse, GetDataResponse,
    GetEphemeralsResponse, MultiResponse, MultiResult, OpCode, StatResponse, WhoAmIResponse,
};
use wire::{Reader, Stat, Zxid};

/// The record of an answer without times, and with lists in order.
pub(super) fn plain(
    op: Option<OpCode>,
    reader: &mut Reader<'_>,
    owners: &[i64],
    hides_zxids: bool,
) -> anyhow::Result<(String, Vec<MultiResult>)> {
    let without = |stat: &mut Stat| {
        (stat.ctime, stat.mtime) = (0, 0);
        if hides_zxids {
            (stat.czxid, stat.mzxid, stat.pzxid) = (Zxid::ZERO, Zxid::ZERO, Zxid::ZERO);
        }
        if let Some(place) = owners.iter().position(|&id| id == stat.ephemeral_owner) {
            stat.ephemeral_owner = place as i64 + 1;
        }
    };
    let mut parts = Vec::new();
    let text = match op {
        Some(OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl) => {
            let mut answer: Create2Response = reader.read()?;
            without(&mut answer.stat);
            format!("{answer:?}")
        }
        Some(OpCode::Exists | OpCode::SetData | OpCode::SetAcl) => {
            let mut answer: StatResponse = reader.read()?;
            without(&mut answer.stat);
            format!("{answer:?}")
        }
        Some(OpCode::GetData) => {
            let mut answer: GetDataResponse = reader.read()?;
            without(&mut answer.stat);
            format!("{answer:?}")
        }
        Some(OpCode::GetAcl) => {
            let mut answer: GetAclResponse = reader.read()?;
            without(&mut answer.stat);
            format!("{answer:?}")
        }
        Some(OpCode::GetChildren) => {
            let mut answer: GetChildrenResponse = reader.read()?;
            answer.children.sort();
            format!("{answer:?}")
        }
        Some(OpCode::GetChildren2) => {
            let mut answer: GetChildren2Response = reader.read()?;
            answer.children.sort();
            without(&mut answer.stat);
            format!("{answer:?}")
        }
        Some(OpCode::GetEphemerals) => {
            let mut answer: GetEphemeralsResponse = reader.read()?;
            answer.ephemerals.sort();
            format!("{answer:?}")
        }
        Some(OpCode::WhoAmI) => {
            let mut answer: WhoAmIResponse = reader.read()?;
            answer
                .infos
                .sort_by(|a, b| (&a.scheme, &a.user).cmp(&(&b.scheme, &b.user)));
            format!("{answer:?}")
        }
        Some(OpCode::Multi | OpCode::MultiRead) => {
            let mut answer: MultiResponse = reader.read()?;
            answer
                .results
                .iter_mut()
                .for_each(|part| reduce(part, without));
            parts.clone_from(&answer.results);
            format!("{answer:?}")
        }
        _ => format!("{:?}", reader.rest()),
    };
    Ok((text, parts))
}

fn reduce(part: &mut MultiResult, without: impl Fn(&mut Stat)) {
    match part {
        MultiResult::Create2(part) => without(&mut part.stat),
        MultiResult::SetData(part) => without(&mut part.stat),
        MultiResult::GetData(part) => without(&mut part.stat),
        MultiResult::GetChildren(part) => part.children.sort(),
        _ => {}
    }
}
