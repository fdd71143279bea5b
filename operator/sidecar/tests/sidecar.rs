//! The sidecar over its real sockets: who is let in, and what a server and a hook are told.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use api::Kind;
use api::sidecar::{
    OPERATOR, ORDERS_PATH, Order, OrderRequest, OrderResponse, STATUS_PATH, ServerState,
    SidecarStatus, Term,
};
use ferrokeeper_sidecar::{Settings, prestop, run};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use wire::control::{BootPlan, BootReport, FromServer, Outcome, ToServer};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// Key and certificate of `name`.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        let certificate = params.signed_by(&key, &self.0).expect("signed");
        (key.serialize_pem(), certificate.pem())
    }

    /// A client that shows `name`, or nothing.
    fn client(&self, name: Option<&str>) -> reqwest::Client {
        let authority = reqwest::Certificate::from_pem(self.0.pem().as_bytes()).expect("read");
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut client = reqwest::Client::builder()
            .resolve("demo-0", local)
            .timeout(PATIENCE)
            .tls_certs_only([authority]);
        if let Some((key, certificate)) = name.map(|name| self.issue(name)) {
            let pem = key + &certificate;
            client = client.identity(reqwest::Identity::from_pem(pem.as_bytes()).expect("read"));
        }
        client.build().expect("a client")
    }
}

struct Running {
    folder: TempDir,
    authority: Authority,
    orders: u16,
    plain: u16,
}

impl Running {
    async fn start() -> Self {
        // Installed already if another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::new();
        let (key, certificate) = authority.issue("demo-0");
        for (file, pem) in [
            ("tls.key", key),
            ("tls.crt", certificate),
            ("ca.pem", authority.0.pem()),
        ] {
            std::fs::write(folder.path().join(file), pem).expect("written");
        }
        let [orders, plain] = free_ports();
        let settings = Settings {
            member: None,
            pod_name: Some("demo-0".into()),
            role: Kind::Voter,
            zoo_cfg: Some("tickTime=2000".into()),
            ensemble: "uid".into(),
            volume: folder.path().join("volume"),
            socket: folder.path().join("socket"),
            orders: SocketAddr::from((Ipv4Addr::LOCALHOST, orders)),
            plain: SocketAddr::from((Ipv4Addr::LOCALHOST, plain)),
            certificates: folder.path().to_owned(),
        };
        tokio::spawn(async move {
            run(settings, std::future::pending()).await.expect("runs");
        });
        let running = Self {
            folder,
            authority,
            orders,
            plain,
        };
        let listening = async {
            while UnixStream::connect(running.socket()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, listening)
            .await
            .expect("it listens");
        running
    }

    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("socket")
    }

    async fn status(&self) -> SidecarStatus {
        let url = format!("https://demo-0:{}{STATUS_PATH}", self.orders);
        let operator = self.authority.client(Some(OPERATOR));
        let answer = operator.get(url).send().await.expect("answered");
        answer.json().await.expect("understood")
    }

    async fn order(&self, order: Order) -> OrderResponse {
        let url = format!("https://demo-0:{}{ORDERS_PATH}", self.orders);
        let request = OrderRequest {
            term: Term(1),
            operation_id: "one".into(),
            order,
        };
        let operator = self.authority.client(Some(OPERATOR));
        let answer = operator
            .post(url)
            .json(&request)
            .send()
            .await
            .expect("answered");
        answer.json().await.expect("understood")
    }

    async fn plain(&self, path: &str) -> (u16, String) {
        let url = format!("http://127.0.0.1:{}{path}", self.plain);
        let answer = reqwest::get(url).await.expect("answered");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }
}

/// Two ports that were free a moment ago; held together, so they differ.
fn free_ports() -> [u16; 2] {
    let listen = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let held = [(); 2].map(listen);
    held.map(|listener| listener.local_addr().expect("an address").port())
}

struct Server {
    lines: tokio::io::Lines<BufReader<tokio::net::unix::OwnedReadHalf>>,
    write: tokio::net::unix::OwnedWriteHalf,
}

impl Server {
    async fn dial(socket: &Path, report: BootReport) -> Self {
        let stream = UnixStream::connect(socket).await.expect("connected");
        let (read, write) = stream.into_split();
        let lines = BufReader::new(read).lines();
        let mut server = Self { lines, write };
        server.say(&FromServer::Report(report)).await;
        server
    }

    async fn say(&mut self, line: &FromServer) {
        let text = serde_json::to_string(line).expect("written") + "\n";
        self.write.write_all(text.as_bytes()).await.expect("sent");
    }

    async fn told(&mut self) -> ToServer {
        let next = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        let line = next.expect("in time").expect("read").expect("a line");
        serde_json::from_str(&line).expect("understood")
    }
}

fn blank() -> BootReport {
    BootReport {
        version: "test".into(),
        volume_id: "volume".into(),
        cluster_id: None,
        empty: true,
        accepted_epoch: 0,
        current_epoch: 0,
        last_zxid: 0,
        config: None,
        parked: None,
        running: false,
    }
}

#[tokio::test]
async fn only_the_operators_name_is_let_in() {
    let sidecar = Running::start().await;
    assert_eq!(sidecar.status().await.server, ServerState::NotSeen);
    let url = format!("https://demo-0:{}{STATUS_PATH}", sidecar.orders);
    for name in [
        None,
        Some("demo-1"),
        Some("demo-0"),
        Some("not-ferrokeeper-operator"),
    ] {
        let refused = sidecar.authority.client(name).get(&url).send().await;
        assert!(refused.is_err(), "{name:?} was let in");
    }
    let (key, certificate) = Authority::new().issue(OPERATOR);
    let authority = reqwest::Certificate::from_pem(sidecar.authority.0.pem().as_bytes());
    let stranger = reqwest::Client::builder()
        .resolve("demo-0", SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .tls_certs_only([authority.expect("read")])
        .identity(reqwest::Identity::from_pem((key + &certificate).as_bytes()).expect("read"))
        .build()
        .expect("a client");
    assert!(
        stranger.get(&url).send().await.is_err(),
        "another authority's was let in"
    );
}

#[tokio::test]
async fn a_waiting_server_is_told_what_was_ordered() {
    let sidecar = Running::start().await;
    let mut server = Server::dial(&sidecar.socket(), blank()).await;
    let waiting = async { while sidecar.status().await.server != ServerState::WaitingForPlan {} };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("it reports");
    assert_eq!(sidecar.plain("/ready").await.0, 503);
    let config = "server.1=127.0.0.1:1:2:participant;127.0.0.1:3".to_owned();
    let done = sidecar
        .order(Order::Grant {
            cluster_id: "a".into(),
            volume_id: "volume".into(),
            config: config.clone(),
        })
        .await;
    assert_eq!(
        done,
        OrderResponse::Done {
            text: "told the server".into()
        }
    );
    let cluster_id = "a".into();
    let birth = true;
    let plan = BootPlan::Start {
        cluster_id,
        config,
        birth,
    };
    assert_eq!(server.told().await, ToServer::Boot(plan));
}

#[tokio::test]
async fn a_hook_waits_until_the_server_is_drained() {
    let sidecar = Running::start().await;
    let report = BootReport {
        running: true,
        ..blank()
    };
    let mut server = Server::dial(&sidecar.socket(), report).await;
    let running = async { while sidecar.status().await.server != ServerState::Running {} };
    tokio::time::timeout(PATIENCE, running)
        .await
        .expect("it reports");
    let socket = sidecar.socket();
    let hook = tokio::spawn(async move { prestop::run(&socket, 20).await });
    let ToServer::Order { id, order } = server.told().await else {
        panic!("not an order")
    };
    assert_eq!(order, wire::control::Order::Drain);
    let outcome = Outcome::Done("leader is 2".into());
    server.say(&FromServer::Done { id, outcome }).await;
    let drained = hook.await.expect("ran").expect("answered");
    assert_eq!(drained, "drained: leader is 2");
}

#[tokio::test]
async fn the_plain_port_answers_before_any_server_is_there() {
    let sidecar = Running::start().await;
    assert_eq!(sidecar.plain("/live").await, (200, "live\n".into()));
    assert_eq!(sidecar.plain("/ready").await.0, 503);
    let (code, metrics) = sidecar.plain("/metrics").await;
    assert_eq!(code, 200);
    assert!(
        metrics.contains("ferrokeeper_sidecar_server_running 0"),
        "{metrics}"
    );
    assert_eq!(
        sidecar.plain(STATUS_PATH).await.0,
        404,
        "nothing else is on it"
    );
}

#[tokio::test]
async fn nonsense_on_the_socket_harms_nobody() {
    let sidecar = Running::start().await;
    for nonsense in [
        &b"\n"[..],
        b"{}\n",
        b"\xff\xfe\n",
        b"{\"kind\":\"status\"}\n",
        b"cut",
    ] {
        let mut stream = UnixStream::connect(sidecar.socket())
            .await
            .expect("connected");
        stream.write_all(nonsense).await.expect("sent");
    }
    let mut endless = UnixStream::connect(sidecar.socket())
        .await
        .expect("connected");
    // Closed by the sidecar at its limit: the rest is not taken.
    let _ = endless.write_all(&vec![b'x'; 4 << 20]).await;
    assert_eq!(sidecar.status().await.server, ServerState::NotSeen);
}
