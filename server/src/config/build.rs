//! From settings to a [`Config`].

use std::collections::BTreeSet;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use member::LocalSessions;
use tree::acl::{Schemes, UnknownHash};
use txnlog::Compression;
use wire::PeerId;
use wire::config::{Address, EnsembleConfig, Member, MemberKind};

use super::overrides::Overrides;
use super::properties::Property;
use super::settings::Settings;
use super::{
    Access, Admin, Config, ConfigError, Connecting, Election, Limits, Origin, Storage, Throttle,
    Words, read,
};

/// Greatest id while session ids hold it in one byte and TTL znodes use the value 255.
const MAX_ID: i64 = 254;
/// The greatest number of most of Apache's keys.
const INT: u64 = i32::MAX as u64;
/// That of the others.
const LONG: u64 = i64::MAX as u64;
/// Apache's `jute.maxbuffer`.
const FRAME: usize = 0xf_ffff;

pub(super) fn config(
    file: &Path,
    text: &str,
    overrides: &Overrides,
) -> Result<Config, ConfigError> {
    let mut settings = Settings::new(file, text, overrides);
    let config = settled(&mut settings)?;
    let (given, warnings) = settings.finish();
    Ok(Config {
        given,
        warnings,
        ..config
    })
}

/// What the settings say. Takes each that has an effect.
pub(super) fn settled(settings: &mut Settings<'_>) -> Result<Config, ConfigError> {
    refuse_unprotected(settings)?;
    let data_dir = settings.path("dataDir")?.ok_or_else(|| {
        settings.missing("dataDir", "write dataDir=<folder for snapshots and myid>")
    })?;
    let log_dir = settings
        .path("dataLogDir")?
        .unwrap_or_else(|| data_dir.clone());
    let tick_time: u64 = settings.number("tickTime", 1..=INT)?.unwrap_or(3000);
    let ensemble = ensemble(settings)?;
    let standalone = standalone(settings, &ensemble)?;
    let (init_limit, sync_limit) = limits_in_ticks(settings, standalone)?;
    let id = id(&data_dir, &ensemble, standalone)?;
    peer_type(settings, &ensemble, id)?;
    let client = client(settings, &ensemble, id)?;
    let may_only_read = settings.flag("readonlymode.enabled")?.unwrap_or(false);
    Ok(Config {
        file: settings.file.to_owned(),
        id,
        data_dir,
        log_dir,
        client,
        ensemble: if standalone {
            EnsembleConfig::default()
        } else {
            ensemble
        },
        standalone,
        tick_time,
        init_limit,
        sync_limit,
        session_timeouts: session_timeouts(settings, tick_time)?,
        local_sessions: local_sessions(settings, standalone)?,
        read_only: may_only_read && !standalone,
        leader_serves: settings.flag("leaderServes")?.unwrap_or(true) || standalone,
        limits: limits(settings)?,
        storage: storage(settings)?,
        election: election(settings)?,
        access: access(settings, may_only_read)?,
        admin: admin(settings)?,
        given: Vec::new(),
        warnings: Vec::new(),
    })
}

/// What would be open to everyone without it is not started without it.
const PROTECTIONS: [(&str, &str); 5] = [
    ("sslQuorum", "TLS between members"),
    ("admin.forceHttps", "HTTPS"),
    ("quorum.auth.enableSasl", "SASL between members"),
    ("quorum.auth.serverRequireSasl", "SASL between members"),
    ("quorum.auth.learnerRequireSasl", "SASL between members"),
];

fn refuse_unprotected(settings: &Settings<'_>) -> Result<(), ConfigError> {
    for (key, what) in PROTECTIONS {
        if let Some(property) = settings.peek(key)
            && property.value.eq_ignore_ascii_case("true")
        {
            let why = format!(
                "{what} is not there, and without it what you want protected would be open: take \
                 the line out if it may be"
            );
            return Err(settings.wrong(&property, &why));
        }
    }
    Ok(())
}

fn ensemble(settings: &mut Settings<'_>) -> Result<EnsembleConfig, ConfigError> {
    let mut ensemble = EnsembleConfig::default();
    let members = settings.take_prefix("server.");
    if let Some(named) = settings.take("dynamicConfigFile") {
        if let Some(both) = members.first() {
            return Err(settings.wrong(
                both,
                "members stand here and in dynamicConfigFile too: keep one",
            ));
        }
        return dynamic(Path::new(&named.value));
    }
    for property in &members {
        let id = member_id(settings, property, "server.")?;
        let member = Member::from_str(&property.value)
            .map_err(|error| settings.wrong(property, &error.to_string()))?;
        ensemble.members.insert(id, member);
    }
    groups(settings, &mut ensemble)?;
    Ok(ensemble)
}

/// A dynamic configuration file, whose version is the hexadecimal end of its name.
fn dynamic(file: &Path) -> Result<EnsembleConfig, ConfigError> {
    let text = read(file)?;
    let mut ensemble: EnsembleConfig =
        text.parse().map_err(|error: wire::config::ConfigError| {
            let line = text
                .lines()
                .position(|line| line == error.line)
                .map_or(0, |at| at + 1);
            ConfigError::Setting {
                file: file.to_owned(),
                origin: Origin::Line(line),
                key: error.line,
                why: error.why,
            }
        })?;
    if ensemble.version == 0 {
        ensemble.version = file
            .extension()
            .and_then(|suffix| u64::from_str_radix(suffix.to_str()?, 16).ok())
            .unwrap_or(0);
    }
    Ok(ensemble)
}

fn groups(settings: &mut Settings<'_>, ensemble: &mut EnsembleConfig) -> Result<(), ConfigError> {
    for property in settings.take_prefix("group.") {
        let group = member_id(settings, &property, "group.")?;
        let ids = property
            .value
            .split(':')
            .map(|id| id.trim().parse().map(PeerId));
        let ids: Result<_, _> = ids.collect();
        let ids =
            ids.map_err(|_| settings.wrong(&property, "write member ids, as in group.1=1:2:3"))?;
        ensemble.groups.insert(group.0, ids);
    }
    for property in settings.take_prefix("weight.") {
        let id = member_id(settings, &property, "weight.")?;
        let weight = property.value.parse();
        let weight =
            weight.map_err(|_| settings.wrong(&property, "write a weight of 0 or more"))?;
        ensemble.weights.insert(id, weight);
    }
    for id in ensemble
        .groups
        .values()
        .flatten()
        .chain(ensemble.weights.keys())
    {
        if !ensemble.members.contains_key(id) {
            let why = format!("a group or weight names member {id}, but there is no server.{id}");
            return Err(settings.missing("server.N", &why));
        }
    }
    Ok(())
}

fn member_id(
    settings: &Settings<'_>,
    property: &Property,
    prefix: &str,
) -> Result<PeerId, ConfigError> {
    match property.key[prefix.len()..].parse() {
        Ok(id) if (0..=MAX_ID).contains(&id) => Ok(PeerId(id)),
        _ => Err(settings.wrong(
            property,
            &format!("the id must be a number from 0 to {MAX_ID}"),
        )),
    }
}

/// One voter alone is a standalone server unless `standaloneEnabled=false`, as in Apache.
fn standalone(settings: &mut Settings<'_>, ensemble: &EnsembleConfig) -> Result<bool, ConfigError> {
    let allowed = settings.flag("standaloneEnabled")?.unwrap_or(true);
    let observers = ensemble.members.len() - ensemble.voters().count();
    match (ensemble.voters().count(), observers) {
        (0, 0) if allowed => Ok(true),
        (0, 0) => Err(settings.missing(
            "server.N",
            "standaloneEnabled=false wants at least one server.N=host:port:port;clientPort",
        )),
        (0, _) => Err(settings.missing("server.N", "observers need at least one voter to follow")),
        (1, 0) => Ok(allowed),
        (1, _) if allowed => Err(settings.missing(
            "server.N",
            "observers beside a single voter need standaloneEnabled=false",
        )),
        _ => Ok(false),
    }
}

fn limits_in_ticks(
    settings: &mut Settings<'_>,
    standalone: bool,
) -> Result<(u64, u64), ConfigError> {
    let mut limit = |key: &'static str, default: u64| {
        let given = settings.number(key, 1..=INT)?;
        match given {
            Some(ticks) => Ok(ticks),
            None if standalone => Ok(default),
            None => Err(settings.missing(
                key,
                &format!("an ensemble needs it, for example {key}={default}"),
            )),
        }
    };
    Ok((limit("initLimit", 10)?, limit("syncLimit", 5)?))
}

fn id(data_dir: &Path, ensemble: &EnsembleConfig, standalone: bool) -> Result<PeerId, ConfigError> {
    let file = data_dir.join("myid");
    let wrong = |why: String| ConfigError::Id {
        file: file.clone(),
        why,
    };
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && standalone => {
            return Ok(PeerId(0));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let ids: Vec<String> = ensemble.members.keys().map(ToString::to_string).collect();
            return Err(wrong(format!(
                "is missing: write this member's id into it, one of {}",
                ids.join(", ")
            )));
        }
        Err(source) => return Err(ConfigError::Read { file, source }),
    };
    // What stands below the number is nobody's.
    let first = text.trim().lines().next().unwrap_or_default().trim_end();
    let id = match first.parse() {
        Ok(id) if (0..=MAX_ID).contains(&id) => PeerId(id),
        _ => {
            return Err(wrong(format!(
                "{first:?} is not a number from 0 to {MAX_ID}"
            )));
        }
    };
    if standalone || ensemble.members.contains_key(&id) {
        return Ok(id);
    }
    let ids: Vec<String> = ensemble.members.keys().map(ToString::to_string).collect();
    Err(wrong(format!(
        "says {id}, but the ensemble has the members {} only",
        ids.join(", ")
    )))
}

/// The list of servers says who observes; `peerType` may only agree.
fn peer_type(
    settings: &mut Settings<'_>,
    ensemble: &EnsembleConfig,
    id: PeerId,
) -> Result<(), ConfigError> {
    let Some(property) = settings.take("peerType") else {
        return Ok(());
    };
    let said = match property.value.to_ascii_lowercase().as_str() {
        "observer" => MemberKind::Observer,
        "participant" => MemberKind::Participant,
        _ => return Err(settings.wrong(&property, "write participant or observer")),
    };
    if let Some(member) = ensemble.members.get(&id)
        && member.kind != said
    {
        settings.warn(&property, "the server list says otherwise, and counts");
    }
    Ok(())
}

fn client(
    settings: &mut Settings<'_>,
    ensemble: &EnsembleConfig,
    id: PeerId,
) -> Result<Address, ConfigError> {
    let host = settings
        .take("clientPortAddress")
        .map(|property| property.value);
    let port = settings.port_and_origin("clientPort")?;
    let dynamic = ensemble
        .members
        .get(&id)
        .and_then(|member| member.client.clone());
    match (port, dynamic) {
        (Some((port, origin)), Some(dynamic)) if port != dynamic.port => {
            Err(ConfigError::Setting {
                file: settings.file.to_owned(),
                origin,
                key: "clientPort".to_owned(),
                why: format!(
                    "is {port} here and {} in server.{id}: keep one",
                    dynamic.port
                ),
            })
        }
        (_, Some(dynamic)) => Ok(Address {
            host: host.unwrap_or(dynamic.host),
            ..dynamic
        }),
        (Some((port, _)), None) => Ok(Address {
            host: host.unwrap_or_else(|| "0.0.0.0".to_owned()),
            port,
        }),
        (None, None) => Err(settings.missing(
            "clientPort",
            "write clientPort=2181, or end this member's server line with ;2181",
        )),
    }
}

fn session_timeouts(settings: &mut Settings<'_>, tick: u64) -> Result<(i32, i32), ConfigError> {
    let range = -1..=i64::from(i32::MAX);
    let in_ticks = |given: Option<i64>, ticks: u64| match given {
        Some(given) if given >= 0 => given as i32,
        _ => i32::try_from(tick * ticks).unwrap_or(i32::MAX),
    };
    let least = in_ticks(settings.number("minSessionTimeout", range.clone())?, 2);
    let most = in_ticks(settings.number("maxSessionTimeout", range)?, 20);
    if least > most {
        let why = format!("the least, {least} ms, is above the greatest, {most} ms");
        return Err(settings.missing("minSessionTimeout <= maxSessionTimeout", &why));
    }
    Ok((least, most))
}

/// A single server has none, as in Apache.
fn local_sessions(
    settings: &mut Settings<'_>,
    standalone: bool,
) -> Result<LocalSessions, ConfigError> {
    let are_enabled = settings.flag("localSessionsEnabled")?.unwrap_or(false);
    let upgradable = settings
        .flag("localSessionsUpgradingEnabled")?
        .unwrap_or(false);
    Ok(match (are_enabled && !standalone, upgradable) {
        (false, _) => LocalSessions::None,
        (true, false) => LocalSessions::Fixed,
        (true, true) => LocalSessions::Upgradable,
    })
}

fn limits(settings: &mut Settings<'_>) -> Result<Limits, ConfigError> {
    Ok(Limits {
        connections_per_address: settings
            .number("maxClientCnxns", 0..=INT as usize)?
            .unwrap_or(60),
        connections: settings.number("maxCnxns", 0..=INT as usize)?.unwrap_or(0),
        backlog: settings
            .number("clientPortListenBacklog", -1i64..=65_535)?
            .and_then(|backlog| u32::try_from(backlog).ok()),
        frame: settings
            .number("jute.maxbuffer", 1024..=1 << 30)?
            .unwrap_or(FRAME),
        outstanding: settings.number("globalOutstandingLimit", 1..=INT as usize)?,
        sessionless: settings
            .number("nio.sessionlessCnxnTimeout", 1..=INT)?
            .unwrap_or(10_000),
        keep_alive: settings.flag("clientTcpKeepAlive")?.unwrap_or(false),
        connecting: connecting(settings)?,
        throttle: throttle(settings)?,
    })
}

fn connecting(settings: &mut Settings<'_>) -> Result<Connecting, ConfigError> {
    let mut count = |key, default: u32| {
        Ok::<_, ConfigError>(settings.number(key, 0..=INT as u32)?.unwrap_or(default))
    };
    let tokens = count("connection_throttle_tokens", 0)?;
    let fill_count = count("connection_throttle_fill_count", 1)?;
    let new = count("connection_throttle_global_session_weight", 3)?;
    let renewed = count("connection_throttle_renew_session_weight", 2)?;
    let local = count("connection_throttle_local_session_weight", 1)?;
    let weighted = settings.flag("connection_throttle_weight_enabled")?;
    Ok(Connecting {
        tokens,
        fill_time: settings
            .number("connection_throttle_fill_time", 1..=INT)?
            .unwrap_or(1),
        fill_count,
        freeze_time: settings
            .number("connection_throttle_freeze_time", -1..=INT as i64)?
            .unwrap_or(-1),
        drop_increase: settings
            .share("connection_throttle_drop_increase")?
            .unwrap_or(0.02),
        drop_decrease: settings
            .share("connection_throttle_drop_decrease")?
            .unwrap_or(0.002),
        decrease_ratio: settings
            .share("connection_throttle_decrease_ratio")?
            .unwrap_or(0.0),
        weights: weighted.unwrap_or(false).then_some((new, renewed, local)),
    })
}

fn throttle(settings: &mut Settings<'_>) -> Result<Throttle, ConfigError> {
    let large_from: Option<i64> = settings.number("largeRequestThreshold", -1..=1 << 30)?;
    Ok(Throttle {
        requests: settings
            .number("request_throttle_max_requests", 0..=INT as usize)?
            .unwrap_or(0),
        stall: settings
            .number("request_throttle_stall_time", 1..=INT)?
            .unwrap_or(100),
        wait: settings
            .number("throttled_op_wait_time", 0..=INT)?
            .unwrap_or(0),
        large_from: large_from
            .filter(|bytes| *bytes > 0)
            .and_then(|bytes| usize::try_from(bytes).ok()),
        large_bytes: settings
            .number("largeRequestMaxBytes", 1..=INT as usize)?
            .unwrap_or(100 << 20),
    })
}

fn storage(settings: &mut Settings<'_>) -> Result<Storage, ConfigError> {
    Ok(Storage {
        preallocate: settings
            .number("preAllocSize", 64..=1 << 30)?
            .unwrap_or(65_536u64)
            * 1024,
        snapshot_every: settings.number("snapCount", 2..=INT)?.unwrap_or(100_000),
        snapshot_every_bytes: match settings.number("snapSizeLimitInKb", -1i64..=1 << 40)? {
            None => Some(4 << 30),
            Some(kib) => u64::try_from(kib)
                .ok()
                .filter(|kib| *kib > 0)
                .map(|kib| kib * 1024),
        },
        snapshot_log_percent: settings.factor("snapshot.logFactor")?.unwrap_or(100),
        window: settings
            .number("commitLogCount", 1..=1 << 24)?
            .unwrap_or(500),
        disk_sync_percent: settings.factor("snapshotSizeFactor")?.unwrap_or(33),
        retain: retain(settings)?,
        purge_interval: settings
            .number("autopurge.purgeInterval", 0..=INT)?
            .unwrap_or(0),
        digest: settings.flag("digest.enabled")?.unwrap_or(true),
        last_zxid_in_snapshot: settings
            .flag("serializeLastProcessedZxid.enabled")?
            .unwrap_or(true),
        compression: compression(settings),
        trust_empty: settings.flag("snapshot.trust.empty")?.unwrap_or(false),
        autocreate: settings.flag("db.autocreate")?.unwrap_or(true),
        slow_sync: settings
            .number("fsync.warningthresholdms", 0..=LONG)?
            .unwrap_or(1000),
        container_interval: settings
            .number("znode.container.checkIntervalMs", 1..=INT)?
            .unwrap_or(60_000),
        containers_per_minute: settings
            .number("znode.container.maxPerMinute", 1..=INT)?
            .unwrap_or(10_000),
        container_never_used: settings
            .number("znode.container.maxNeverUsedIntervalMs", 0..=i64::MAX)?
            .unwrap_or(0),
    })
}

/// Fewer than three snapshots are never kept, as in Apache.
fn retain(settings: &mut Settings<'_>) -> Result<usize, ConfigError> {
    let property = settings.peek("autopurge.snapRetainCount");
    let given = settings
        .number("autopurge.snapRetainCount", 0..=INT as usize)?
        .unwrap_or(3usize);
    if let (Some(property), true) = (property, given < 3) {
        settings.warn(&property, "at least 3 snapshots are kept");
    }
    Ok(given.max(3))
}

/// Any other word means none, as in Apache.
fn compression(settings: &mut Settings<'_>) -> Compression {
    let Some(property) = settings.take("snapshot.compression.method") else {
        return Compression::None;
    };
    match property.value.as_str() {
        "gz" => Compression::Gzip,
        "snappy" => Compression::Snappy,
        "" => Compression::None,
        _ => {
            settings.warn(
                &property,
                "is neither gz nor snappy: snapshots are not compressed",
            );
            Compression::None
        }
    }
}

fn election(settings: &mut Settings<'_>) -> Result<Election, ConfigError> {
    if let Some(property) = settings.take("electionAlg")
        && property.value != "3"
    {
        return Err(settings.wrong(&property, "only 3, fast leader election, exists"));
    }
    let interval = |settings: &mut Settings<'_>, key, default| {
        Ok::<u64, ConfigError>(settings.number(key, 1..=INT)?.unwrap_or(default))
    };
    let first = interval(settings, "fastleader.minNotificationInterval", 200)?;
    let last = interval(settings, "fastleader.maxNotificationInterval", 60_000)?;
    let wait: Option<i64> = settings.number("leader.maxTimeToWaitForEpoch", -1..=INT as i64)?;
    Ok(Election {
        connect_timeout: interval(settings, "cnxTimeout", 5000)?,
        notification_interval: (first, last.max(first)),
        max_wait_for_epoch: wait.and_then(|wait| u64::try_from(wait).ok()),
        listen_on_all: settings.flag("quorumListenOnAllIPs")?.unwrap_or(false),
    })
}

/// Whatever the list says, `srvr` is answered, which `zkServer.sh status` asks, and `isro`, which
/// clients ask before they take a member that only reads.
fn words(settings: &mut Settings<'_>, may_only_read: bool) -> Words {
    let listed = settings.take("4lw.commands.whitelist");
    let listed = listed.map_or_else(String::new, |property| property.value);
    let listed = listed.split(',').map(str::trim);
    if listed.clone().any(|word| word == "*") {
        return Words::All;
    }
    let always = ["srvr"].into_iter().chain(may_only_read.then_some("isro"));
    let words = listed.filter(|word| !word.is_empty()).chain(always);
    Words::Only(words.map(ToOwned::to_owned).collect())
}

fn access(settings: &mut Settings<'_>, may_only_read: bool) -> Result<Access, ConfigError> {
    let words = words(settings, may_only_read);
    Ok(Access {
        skip_acl: settings.flag("skipACL")?.unwrap_or(false),
        eager_acl_check: settings.flag("enableEagerACLCheck")?.unwrap_or(false),
        schemes: schemes(settings)?,
        extended_types: settings.flag("extendedTypesEnabled")?.unwrap_or(false),
        emulate_353: settings.flag("emulate353TTLNodes")?.unwrap_or(false),
        enforce_quota: settings.flag("enforceQuota")?.unwrap_or(false),
        reconfig: settings.flag("reconfigEnabled")?.unwrap_or(false),
        words,
    })
}

fn schemes(settings: &mut Settings<'_>) -> Result<Schemes, ConfigError> {
    let mut schemes = Schemes {
        digest: settings
            .flag("DigestAuthenticationProvider.enabled")?
            .unwrap_or(true),
        super_digest: settings
            .take("DigestAuthenticationProvider.superDigest")
            .map(|property| property.value),
        ..Schemes::default()
    };
    if let Some(property) = settings.take("DigestAuthenticationProvider.digestAlg") {
        let hash = property.value.parse();
        schemes.password_hash =
            hash.map_err(|error: UnknownHash| settings.wrong(&property, &error.to_string()))?;
    }
    for property in settings.take_prefix("authProvider.") {
        match property.value.rsplit('.').next().unwrap_or_default() {
            "DigestAuthenticationProvider" => schemes.digest = true,
            "IPAuthenticationProvider" => {}
            "EnsembleAuthenticationProvider" => schemes.ensemble = Some(BTreeSet::new()),
            "SASLAuthenticationProvider" => schemes.sasl = true,
            "X509AuthenticationProvider" => schemes.x509 = true,
            _ => settings.warn(&property, "is a class that does not exist here"),
        }
    }
    let names = settings.take("ensembleAuthName");
    if let (Some(known), Some(names)) = (&mut schemes.ensemble, names) {
        known.extend(names.value.split(',').map(|name| name.trim().to_owned()));
    }
    schemes.required = required_schemes(settings, &schemes)?;
    Ok(schemes)
}

/// The schemes of which each connection must have shown one.
fn required_schemes(
    settings: &mut Settings<'_>,
    schemes: &Schemes,
) -> Result<Vec<String>, ConfigError> {
    let sasl_only = settings
        .flag("sessionRequireClientSASLAuth")?
        .unwrap_or(false);
    let is_enforced = settings.flag("enforce.auth.enabled")?.unwrap_or(false);
    let named = settings.take("enforce.auth.schemes");
    let required: Vec<String> = match named {
        _ if sasl_only => vec!["sasl".to_owned()],
        Some(named) if is_enforced => {
            let names = named.value.split(',').map(|name| name.trim().to_owned());
            names.filter(|name| !name.is_empty()).collect()
        }
        _ if !is_enforced => return Ok(Vec::new()),
        _ => Vec::new(),
    };
    if required.is_empty() {
        let why = "enforce.auth.enabled=true needs it, for example enforce.auth.schemes=digest";
        return Err(settings.missing("enforce.auth.schemes", why));
    }
    match required.iter().find(|name| !schemes.has(name)) {
        None => Ok(required),
        Some(name) => {
            let why = format!("the scheme {name} is required and does not exist here");
            Err(settings.missing("authProvider.N", &why))
        }
    }
}

fn admin(settings: &mut Settings<'_>) -> Result<Admin, ConfigError> {
    let enabled = settings.flag("admin.enableServer")?.unwrap_or(true);
    let host = settings
        .take("admin.serverAddress")
        .map(|property| property.value);
    let port = settings
        .port_and_origin("admin.serverPort")?
        .map_or(8080, |(port, _)| port);
    let http = Address {
        host: host.unwrap_or_else(|| "127.0.0.1".to_owned()),
        port,
    };
    let provider = metrics_provider(settings);
    let host = settings
        .take("metricsProvider.httpHost")
        .map(|property| property.value);
    let port = settings
        .port_and_origin("metricsProvider.httpPort")?
        .map_or(7000, |(port, _)| port);
    let metrics = Address {
        host: host.unwrap_or_else(|| "0.0.0.0".to_owned()),
        port,
    };
    Ok(Admin {
        http: enabled.then_some(http),
        commands: command_url(settings)?,
        snapshot: settings.flag("admin.snapshot.enabled")?.unwrap_or(true),
        restore: settings.flag("admin.restore.enabled")?.unwrap_or(true),
        pause: settings
            .number("admin.rateLimiterIntervalInMS", 0..=INT)?
            .unwrap_or(300_000),
        idle: Duration::from_millis(
            settings
                .number("admin.idleTimeout", 1..=INT)?
                .unwrap_or(30_000),
        ),
        metrics: provider.then_some(metrics),
        total_names: settings
            .flag("metricsProvider.totalNames")?
            .unwrap_or(false),
        audit: settings.flag("audit.enable")?.unwrap_or(false),
    })
}

/// Whether Prometheus is served. Apache's other providers keep the numbers to themselves, as
/// `mntr` shows them.
fn metrics_provider(settings: &mut Settings<'_>) -> bool {
    let Some(property) = settings.take("metricsProvider.className") else {
        return false;
    };
    let class = property.value.rsplit('.').next().unwrap_or_default();
    match class {
        "PrometheusMetricsProvider" => true,
        "DefaultMetricsProvider" | "NullMetricsProvider" | "" => false,
        _ => {
            let why = "no class of Java's can be loaded: mntr shows the numbers; \
                       PrometheusMetricsProvider serves them";
            settings.warn(&property, why);
            false
        }
    }
}

fn command_url(settings: &mut Settings<'_>) -> Result<String, ConfigError> {
    match settings.take("admin.commandURL") {
        None => Ok("/commands".to_owned()),
        Some(property) => match property.value.trim_end_matches('/') {
            url if url.starts_with('/') && !url.contains(['{', '}', '*']) => Ok(url.to_owned()),
            _ => Err(settings.wrong(&property, "write a path such as /commands")),
        },
    }
}
