//! `ferrokeeper check`: what a configuration means, without starting anything.

use std::path::PathBuf;

use anyhow::{Context, bail};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;

use crate::config::keys::{self, Meaning};
use crate::config::{Config, Overrides};

/// `check`'s arguments.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The configuration.
    pub config: PathBuf,
    /// Settings besides those in the file.
    #[command(flatten)]
    pub settings: Settings,
    /// Show the keys that are not set too, with their defaults.
    #[arg(long)]
    pub all: bool,
    /// One JSON object instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Settings without effect are errors.
    #[arg(long)]
    pub strict: bool,
}

/// Settings besides those in the file.
#[derive(clap::Args, Debug, Default)]
pub struct Settings {
    /// A setting that counts more than the file's: -Dzookeeper.skipACL=yes, --set tickTime=500.
    /// Variables count more than the file too: FERROKEEPER_SET_TICKTIME=500.
    #[arg(short = 'D', long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl Settings {
    /// These, and those of the environment.
    ///
    /// # Errors
    /// If one is no setting.
    pub fn overrides(&self) -> anyhow::Result<Overrides> {
        // A variable that is no text cannot be one of ours.
        let variables = std::env::vars_os();
        let texts = variables.filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Ok(Overrides::new(texts, &self.set)?)
    }
}

/// Explains a configuration.
///
/// # Errors
/// If a member would not start with it, or with `strict` if a setting has no effect.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let overrides = arguments.settings.overrides()?;
    let config = Config::load(&arguments.config, &overrides)
        .context("a member would not start with this configuration")?;
    if arguments.json {
        println!("{}", object(&config, arguments.all));
    } else {
        print!("{}", text(&config, arguments.all));
    }
    match config
        .given
        .iter()
        .filter(|given| !given.is_honoured)
        .count()
    {
        0 => Ok(()),
        some if arguments.strict => bail!("{some} settings have no effect"),
        _ => Ok(()),
    }
}

/// A row: key, value, effect, where from.
type Row = [String; 4];

fn rows(config: &Config, all: bool) -> Vec<Row> {
    let given = config.given.iter().map(|given| {
        let effect = if given.is_honoured {
            given.effect.clone()
        } else {
            format!("WITHOUT EFFECT: {}", given.effect)
        };
        let value = given.shown().to_owned();
        [given.key.clone(), value, effect, given.origin.to_string()]
    });
    let mut rows: Vec<Row> = given.collect();
    if all {
        rows.extend(
            unset(config)
                .map(|(key, default, what)| [key, default, what, "default"].map(ToOwned::to_owned)),
        );
    }
    rows
}

/// Keys that are not set, their defaults, and what they say.
fn unset(config: &Config) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let is_set = |key: &str| config.given.iter().any(|given| given.key == key);
    keys::all().filter_map(move |&(key, meaning)| match meaning {
        Meaning::Does { default, what } if !key.ends_with('*') && !is_set(key) => {
            Some((key, default, what))
        }
        _ => None,
    })
}

fn text(config: &Config, all: bool) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(["KEY", "VALUE", "EFFECT", "FROM"]);
    table.add_rows(rows(config, all));
    let table: String = table
        .lines()
        .map(|line| format!("{}\n", line.trim()))
        .collect();
    format!("{table}\n{}", summary(config))
}

fn summary(config: &Config) -> String {
    let what = if config.standalone {
        "a single server".to_owned()
    } else {
        let voters = config.ensemble.voters().count();
        let observers = config.ensemble.members.len() - voters;
        format!(
            "member {} of {voters} voters and {observers} observers",
            config.id
        )
    };
    let monitors = [
        ("AdminServer", &config.admin.http),
        ("Prometheus", &config.admin.metrics),
    ];
    let monitors = monitors.map(|(name, address)| match address {
        Some(address) => format!("{name} at {address}"),
        None => format!("no {name}"),
    });
    let warnings: String = config
        .warnings
        .iter()
        .map(|warning| format!("warning: {warning}\n"))
        .collect();
    format!(
        "{warnings}This starts {what}: clients at {}, {}; data in {}, log in {}.\n",
        config.client,
        monitors.join(", "),
        config.data_dir.display(),
        config.log_dir.display(),
    )
}

fn object(config: &Config, all: bool) -> serde_json::Value {
    let settings = config.given.iter().map(|given| {
        json!({
            "key": given.key,
            "value": given.shown(),
            "honoured": given.is_honoured,
            "effect": given.effect,
            "from": given.origin.to_string(),
        })
    });
    let mut object = json!({
        "file": config.file.display().to_string(),
        "standalone": config.standalone,
        "id": config.id.0,
        "client": config.client.to_string(),
        "settings": settings.collect::<Vec<_>>(),
        "warnings": config.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    if all {
        let defaults = unset(config)
            .map(|(key, default, what)| json!({ "key": key, "default": default, "effect": what }));
        object["defaults"] = defaults.collect();
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> (tempfile::TempDir, Config) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("zoo.cfg");
        std::fs::write(&file, text).expect("write zoo.cfg");
        let flags = ["zookeeper.skipACL=yes".to_owned()];
        let overrides = Overrides::new([], &flags).expect("settings");
        let config = Config::load(&file, &overrides).expect("valid");
        (folder, config)
    }

    #[test]
    fn each_setting_is_told_with_its_effect_and_where_it_stands() {
        let (_folder, config) = load(
            "dataDir=/data\nclientPort=2181\nforceSync=no\n\
             DigestAuthenticationProvider.superDigest=super:abc\nserverCnxnFactory=\
             org.apache.zookeeper.server.NettyServerCnxnFactory\n",
        );
        let expected = "\
KEY                                       VALUE                                               EFFECT                                                                FROM
dataDir                                   /data                                               folder of the snapshots and of myid                                   line 1
clientPort                                2181                                                port for clients                                                      line 2
forceSync                                 no                                                  WITHOUT EFFECT: nothing is acknowledged that is not on the disk       line 3
DigestAuthenticationProvider.superDigest  (secret)                                            user:hash of the superuser                                            line 4
serverCnxnFactory                         org.apache.zookeeper.server.NettyServerCnxnFactory  there is one way to serve sockets                                     line 5
skipACL                                   yes                                                 ACLs are not checked                                                  command line

warning: line 3: forceSync: nothing is acknowledged that is not on the disk
This starts a single server: clients at 0.0.0.0:2181, AdminServer at 127.0.0.1:8080, no Prometheus; data in /data, log in /data.
";
        let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeeze(&text(&config, false)), squeeze(expected));
    }

    #[test]
    fn all_shows_what_could_be_set_too() {
        let (_folder, config) = load("dataDir=/data\nclientPort=2181\n");
        let shown = rows(&config, true);
        let tick = shown
            .iter()
            .find(|row| row[0] == "tickTime")
            .expect("tickTime");
        assert_eq!(
            tick[1..],
            [
                "3000",
                "milliseconds of a tick, the unit of other times",
                "default"
            ]
        );
        let twice = shown.iter().filter(|row| row[0] == "clientPort");
        assert_eq!(twice.count(), 1);
    }
}
