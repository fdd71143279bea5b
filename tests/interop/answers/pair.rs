//! One ensemble of each make, asked the same.

use std::collections::VecDeque;
use std::fmt::Debug;

use anyhow::bail;
use tests::ensemble::{Make, Programs};
use wire::Acl;
use wire::SessionId;
use wire::Zxid;
use wire::client::{CreateRequest, ErrorCode, OpCode, Request};

use super::SESSIONS;
use super::asked::Asked;
use super::recipes::{self, Recipe};
use super::requests::Random;
use super::session::{Answer, CLOSED};
use super::side::Side;
use super::stages::{Kind, Stage};
use super::tally::{Cell, State, Tally};
use crate::Setting;

/// Steps that are told with a difference.
const RECENT: usize = 8;
/// Sessions that are left to expire at once.
const SILENT: usize = 12;

/// Both answered, and not the same.
#[derive(Debug)]
pub(super) struct Difference(String);

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Difference {}

pub(super) struct Pair {
    apache: Side,
    ours: Side,
    stage: &'static Stage,
    random: Random,
    seed: u64,
    clients: [Client; SESSIONS],
    /// Sessions that are over, of Apache's and ours.
    ended: Vec<[SessionId; 2]>,
    /// Makes paths that nobody else uses.
    number: u64,
    /// What was asked last, the same of both.
    recent: VecDeque<String>,
}

#[derive(Clone, Copy)]
struct Client {
    state: State,
    place: usize,
}

/// The one that may do everything.
const SUPERUSER: usize = SESSIONS - 1;
/// The one that says nothing of itself.
const STRANGER: usize = 1;

impl Pair {
    pub(super) fn start(
        setting: &Setting,
        programs: &Programs,
        stage: &'static Stage,
    ) -> anyhow::Result<Self> {
        let folder = setting.folder.join(stage.name);
        let open = |make: Make| Side::start(programs, &folder, make, stage.settings);
        let (apache, ours) = std::thread::scope(|scope| {
            let apache = scope.spawn(|| open(Make::Apache));
            let ours = open(Make::Ferrokeeper);
            match apache.join() {
                Ok(apache) => (apache, ours),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        });
        let state = stage.initial();
        let mut pair = Self {
            apache: apache?,
            ours: ours?,
            stage,
            random: Random::new(setting.seed),
            seed: setting.seed,
            clients: [Client { state, place: 0 }; SESSIONS],
            ended: Vec::new(),
            number: 0,
            recent: VecDeque::new(),
        };
        pair.prepare()?;
        Ok(pair)
    }

    /// What recipes rely on, and what the stage is about.
    fn prepare(&mut self) -> anyhow::Result<()> {
        let mut unseen = Tally::default();
        for request in recipes::fixtures() {
            self.ask(SUPERUSER, &request.into(), &mut unseen)?;
        }
        if self.stage.kind == Kind::ReadOnly {
            let over = self.both(|side| Ok(SessionId(side.hello(0).id.0)))?;
            let before = over;
            self.both(Side::lose_quorum)?;
            self.ended.push(before);
        }
        if self.stage.kind == Kind::Enforced {
            self.clients[STRANGER].state = State::Unauthenticated;
        }
        if self.stage.states.contains(&State::Ended) {
            self.expire()?;
        }
        Ok(())
    }

    /// Does the same with both at the same time.
    fn both<T: Send>(
        &mut self,
        act: impl Fn(&mut Side) -> anyhow::Result<T> + Sync,
    ) -> anyhow::Result<[T; 2]> {
        let Self { apache, ours, .. } = self;
        std::thread::scope(|scope| {
            let apache = scope.spawn(|| act(apache));
            let ours = act(ours);
            match apache.join() {
                Ok(apache) => Ok([apache?, ours?]),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    fn expire(&mut self) -> anyhow::Result<()> {
        let [apache, ours] = self.both(|side| side.expire(SILENT))?;
        self.ended
            .extend(apache.into_iter().zip(ours).map(|(a, b)| [a, b]));
        Ok(())
    }

    /// Asks one request, moves a session, or does what leads to one of `aims`.
    pub(super) fn step(&mut self, aims: &mut Aims, tally: &mut Tally) -> anyhow::Result<()> {
        if self.random.below(2) == 0
            && let Some(cell) = self.choose(aims, tally)
        {
            return self.aim(&cell, tally);
        }
        if self.stage.kind == Kind::Reconfig {
            return self.chance(tally);
        }
        if self.random.below(40) == 0 {
            return self.wander();
        }
        self.chance(tally)
    }

    fn chance(&mut self, tally: &mut Tally) -> anyhow::Result<()> {
        let client = self.random.below(SESSIONS as u64) as usize;
        let asked = loop {
            let asked = self.random.asked();
            // The superuser's would be done.
            let is_done = self.stage.kind == Kind::Reconfig && asked.is(OpCode::Reconfig);
            let is_lost = asked.is_lost() && self.stage.kind != Kind::ReadOnly;
            let Client { state, place } = self.clients[client];
            let is_half_done = state == State::Local && place == 0 && asked.is_half_done();
            if !(is_done || is_lost || is_half_done) {
                break asked;
            }
        };
        self.ask(client, &asked, tally)?;
        Ok(())
    }

    /// A cell that lags, of the state that some client is in, if there is one.
    fn choose(&mut self, aims: &mut Aims, tally: &Tally) -> Option<Cell> {
        let client = self.random.below(SESSIONS as u64) as usize;
        let state = self.clients[client].state;
        let start = self.random.below(1 << 32) as usize;
        aims.choose(start, state, tally)
    }

    /// Another connection for some session.
    fn wander(&mut self) -> anyhow::Result<()> {
        let client = self.random.below(SESSIONS as u64) as usize;
        match self.clients[client].state {
            State::Local | State::ReadOnly | State::Unauthenticated => {
                let place = self.clients[client].place;
                self.reconnect(client, place)
            }
            _ => {
                let place = self.random.below(3) as usize;
                self.reconnect(client, place)
            }
        }
    }

    fn reconnect(&mut self, client: usize, place: usize) -> anyhow::Result<()> {
        self.both(|side| side.reconnect(client, place))?;
        let Client { state, place: old } = self.clients[client];
        let state = match state {
            State::Local | State::Upgraded | State::ReadOnly | State::Unauthenticated => state,
            _ if old == place => State::Back,
            _ => State::Moved,
        };
        self.clients[client] = Client { state, place };
        self.remember(format!("client {client} to member {place}"));
        Ok(())
    }

    /// A new session for a client whose last one is over.
    fn renew(&mut self, client: usize) -> anyhow::Result<()> {
        let places = if self.stage.kind == Kind::ReadOnly {
            1
        } else {
            3
        };
        let place = self.random.below(places) as usize;
        let ended = self.both(|side| Ok(side.hello(client).id))?;
        self.both(|side| side.renew(client, place))?;
        self.ended.push(ended);
        let state = match self.stage.kind {
            Kind::Enforced if client == STRANGER => State::Unauthenticated,
            _ => self.stage.initial(),
        };
        self.clients[client] = Client { state, place };
        Ok(())
    }

    fn bring(&mut self, client: usize, state: State, tally: &mut Tally) -> anyhow::Result<()> {
        let Client { state: is, place } = self.clients[client];
        if is == state {
            return Ok(());
        }
        match state {
            State::Back => self.reconnect(client, place),
            State::Moved => {
                let further = 1 + self.random.below(2) as usize;
                self.reconnect(client, (place + further) % 3)
            }
            State::Upgraded => {
                self.number += 1;
                let create = Request::Create(CreateRequest {
                    path: format!("/d/u{}", self.number),
                    data: None,
                    acl: Acl::open(),
                    flags: 1,
                });
                self.ask(client, &create.into(), tally)
            }
            _ => self.ask(client, &Request::CloseSession(()).into(), tally),
        }
    }

    /// Where a session of one member has to be for a cell. It does not move: there are new ones
    /// until one is there.
    fn place(
        &mut self,
        client: usize,
        cell: &Cell,
        recipe: &Recipe,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let error = ErrorCode::from_code(cell.err);
        let is_multi = recipe.asked.is(OpCode::Multi);
        let wants_leader = match error {
            Some(ErrorCode::EphemeralOnLocalSession) if is_multi => true,
            Some(ErrorCode::SessionExpired) => false,
            _ if recipe.asked.is_half_done() => false,
            _ => return Ok(()),
        };
        while (self.clients[client].place == 0) != wants_leader {
            self.ask(client, &Request::CloseSession(()).into(), tally)?;
        }
        Ok(())
    }

    /// Does what leads to one cell.
    fn aim(&mut self, cell: &Cell, tally: &mut Tally) -> anyhow::Result<()> {
        self.number += 1;
        if cell.name == "connect" {
            return self.greet(cell, tally);
        }
        let Some(recipe) = recipes::recipe(cell.name, cell.err, self.number) else {
            bail!("no way to {} with error {} is known", cell.name, cell.err);
        };
        let below = if cell.err == ErrorCode::NoAuth.code() {
            SUPERUSER
        } else {
            SESSIONS
        };
        let likely = (0..below).find(|client| self.clients[*client].state == cell.state);
        let client = match (cell.state, likely) {
            (State::Unauthenticated, _) => STRANGER,
            (_, Some(client)) => client,
            (_, None) => self.random.below(below as u64) as usize,
        };
        match cell.state {
            State::Left => self.aim_left(client, recipe, tally),
            State::Closing => self.aim_closing(client, &recipe, tally),
            State::Ended => self.aim_ended(&recipe.asked, tally),
            state => {
                self.bring(client, state, tally)?;
                if state == State::Local {
                    self.place(client, cell, &recipe, tally)?;
                }
                self.follow(client, recipe, tally)
            }
        }
    }

    fn follow(&mut self, client: usize, recipe: Recipe, tally: &mut Tally) -> anyhow::Result<()> {
        for request in recipe.before {
            self.ask(SUPERUSER, &request.into(), tally)?;
        }
        for request in recipe.own {
            self.ask(client, &request.into(), tally)?;
        }
        self.ask(client, &recipe.asked, tally)?;
        for request in recipe.after {
            self.ask(SUPERUSER, &request.into(), tally)?;
        }
        Ok(())
    }

    /// Over a connection whose session went elsewhere.
    fn aim_left(&mut self, client: usize, recipe: Recipe, tally: &mut Tally) -> anyhow::Result<()> {
        for request in recipe.before {
            self.ask(SUPERUSER, &request.into(), tally)?;
        }
        let needs_leader = recipe.asked.is_write() && !recipe.asked.is(OpCode::Sync);
        if !needs_leader && self.clients[client].place == 0 {
            // Apache's leader closes the connection; ours lets it read, as followers do.
            let place = 1 + self.random.below(2) as usize;
            self.reconnect(client, place)?;
        }
        for request in recipe.own {
            self.ask(client, &request.into(), tally)?;
        }
        let from = self.clients[client].place;
        let place = (from + 1 + self.random.below(2) as usize) % 3;
        let asked = recipe.asked;
        let [expected, found] = self.both(|side| side.ask_left(client, place, &asked))?;
        tally.count(&asked, &expected, State::Left);
        let what = format!("client {client} from {from}, now at {place}, Left: {asked:?}");
        self.compare(&what, &expected.text, &found.text)?;
        let is_over = asked.is(OpCode::CloseSession) && expected.err == 0;
        if is_over {
            self.renew(client)?;
        } else {
            let state = State::Moved;
            self.clients[client] = Client { state, place };
        }
        for request in recipe.after {
            self.ask(SUPERUSER, &request.into(), tally)?;
        }
        Ok(())
    }

    /// Right behind a session's end.
    fn aim_closing(
        &mut self,
        client: usize,
        recipe: &Recipe,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let asked = &recipe.asked;
        let [expected, found] = self.both(|side| side.ask_closing(client, asked))?;
        tally.count(asked, &expected.1, State::Closing);
        let what = format!(
            "client {client} ({:?}) closes, then {asked:?}",
            self.clients[client].state
        );
        let told =
            |(closed, behind): &(Answer, Answer)| format!("{}, then {}", closed.text, behind.text);
        self.compare(&what, &told(&expected), &told(&found))?;
        self.renew(client)
    }

    /// Behind a first frame that names a session that is over.
    fn aim_ended(&mut self, asked: &Asked, tally: &mut Tally) -> anyhow::Result<()> {
        self.greet_as(State::Ended, 0, Some(asked), tally)
    }

    /// A first frame of its own.
    fn greet(&mut self, cell: &Cell, tally: &mut Tally) -> anyhow::Result<()> {
        let odd = match (cell.state, cell.err) {
            (State::ReadOnly, 0) => 3,
            (State::ReadOnly, CLOSED) => self.random.below(2) as i32,
            (State::ReadOnly, _) => 2,
            (_, 0) => 1 + self.random.below(3) as i32,
            (_, CLOSED) => 0,
            _ => self.random.below(4) as i32,
        };
        self.greet_as(cell.state, odd, None, tally)
    }

    fn greet_as(
        &mut self,
        state: State,
        odd: i32,
        behind: Option<&Asked>,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let client = (0..SESSIONS).find(|client| self.clients[*client].state == state);
        let client = client.unwrap_or(STRANGER);
        if matches!(state, State::Back | State::Local) {
            self.bring(client, state, tally)?;
        }
        let ended = self.random.below(self.ended.len().max(1) as u64) as usize;
        let ended = self.ended.get(ended).copied().unwrap_or([SessionId(7); 2]);
        let is_read_only = self.stage.kind == Kind::ReadOnly;
        let place = self.random.below(if is_read_only { 1 } else { 3 }) as usize;
        let greeting = Greeting {
            client,
            state,
            odd,
            timeout: [0, -1, 7_000, i32::MAX][self.random.below(4) as usize],
            place,
            present: self.clients[client].place,
        };
        let expected = greeting.say(&self.apache, ended[0], behind)?;
        let found = greeting.say(&self.ours, ended[1], behind)?;
        let err = match &*expected.0 {
            "closed" => CLOSED,
            _ if expected.1 => 0,
            _ => ErrorCode::SessionExpired.code(),
        };
        tally.add("connect", err, state, &greeting);
        if let Some(behind) = behind {
            tally.count(behind, &Answer::closed(), state);
        }
        self.both(|side| {
            side.changed();
            Ok(())
        })?;
        let what = format!("{greeting:?}, then {behind:?}");
        self.compare(&what, &expected.0, &found.0)?;
        if matches!(state, State::Back | State::Local) {
            self.reconnect(client, greeting.present)?;
        }
        Ok(())
    }

    /// Asks both, and fails if they do not answer the same.
    fn ask(&mut self, client: usize, asked: &Asked, tally: &mut Tally) -> anyhow::Result<()> {
        let state = self.clients[client].state;
        let [expected, found] = self.both(|side| match state {
            State::Unauthenticated => side.ask_stranger(client, asked),
            _ => side.ask(client, asked),
        })?;
        tally.count(asked, &expected, state);
        let what = format!(
            "request {} of client {client} ({state:?}): {asked:?}",
            tally.all()
        );
        self.compare(&what, &expected.text, &found.text)?;
        let is_open = if state == State::Unauthenticated {
            // To ask more would end it.
            false
        } else if asked.keeps_open() && leaves_open(expected.err) {
            true
        } else if expected.err == CLOSED {
            false
        } else {
            let ends = asked.is(OpCode::CloseSession)
                || expected.err == ErrorCode::Unimplemented.code()
                || expected.err == ErrorCode::AuthFailed.code();
            let [expected, found] = self.both(|side| match ends {
                true if !asked.keeps_open() || asked.is(OpCode::Check) => side.stays_open(client),
                _ => side.is_open(client),
            })?;
            let shown = |is_open: bool| format!("connection open: {is_open}");
            self.compare(&what, &shown(expected), &shown(found))?;
            expected
        };
        if asked.is(OpCode::CloseSession) && expected.err == 0 {
            return self.renew(client);
        }
        if state == State::Local && self.stage.kind == Kind::Local && asked.wants_ephemeral() {
            self.clients[client].state = State::Upgraded;
        }
        if !is_open {
            let place = self.clients[client].place;
            self.reconnect(client, place)?;
        }
        Ok(())
    }

    fn compare(&mut self, what: &str, expected: &str, found: &str) -> anyhow::Result<()> {
        if expected == found {
            self.remember(format!("{what}: {expected}"));
            return Ok(());
        }
        let recent: Vec<&str> = self.recent.iter().map(String::as_str).collect();
        let text = format!(
            "seed {}, {}, {what}\nApache: {expected}\n  ours: {found}\nbefore it:\n{}",
            self.seed,
            self.stage.name,
            recent.join("\n")
        );
        Err(Difference(text).into())
    }

    fn remember(&mut self, step: String) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(step);
    }
}

/// A first frame that is said to both.
#[derive(Debug)]
struct Greeting {
    client: usize,
    state: State,
    /// What is odd about it, if the state leaves a choice.
    odd: i32,
    timeout: i32,
    place: usize,
    /// Where the client is.
    present: usize,
}

impl Greeting {
    /// What one of them answers, and whether it takes the session. `ended` is one that is over.
    fn say(
        &self,
        side: &Side,
        ended: SessionId,
        behind: Option<&Asked>,
    ) -> anyhow::Result<(String, bool)> {
        let mut hello = side.hello(self.client);
        hello.seen = Zxid::ZERO;
        hello.timeout = self.timeout;
        let mut place = self.place;
        match (self.state, self.odd) {
            (State::Ended, _) | (State::ReadOnly, 2) => {
                hello.id = ended;
                hello.password = ended.password().to_vec().into();
            }
            // Nobody else knows it.
            (State::Local, 0 | 1) => place = (self.present + 1) % 3,
            (State::Back | State::Local, _) => {
                hello.password = vec![9; 16].into();
                place = self.present;
            }
            (_, 0) => hello.seen = Zxid(side.newest().0 + (1 << 20)),
            (_, 1) => (hello.id, hello.read_only) = (SessionId(0), None),
            (_, odd) => (hello.id, hello.protocol) = (SessionId(0), odd),
        }
        side.greet(place, &hello, behind)
    }
}

/// Whether errors like this never end a connection.
const fn leaves_open(err: i32) -> bool {
    matches!(err, 0 | -8 | -13 | -114..=-101 | -125..=-119) && err != -124
}

/// Cells that a stage can meet and that were not met often enough.
pub(super) struct Aims {
    cells: Vec<(Cell, u64)>,
    goal: u64,
}

impl Aims {
    pub(super) fn new(cells: impl IntoIterator<Item = Cell>, goal: u64) -> Self {
        let cells = cells.into_iter().map(|cell| (cell, 0)).collect();
        Self { cells, goal }
    }

    /// All is left to chance.
    pub(super) const fn none() -> Self {
        Self {
            cells: Vec::new(),
            goal: 0,
        }
    }

    /// Whether some are left that can be met, as far as was tried.
    pub(super) fn lag(&mut self, tally: &Tally) -> bool {
        let (goal, most) = (self.goal, 3 * self.goal + 12);
        self.cells
            .retain(|(cell, tried)| tally.met(cell) < goal && *tried < most);
        !self.cells.is_empty()
    }

    fn choose(&mut self, start: usize, state: State, tally: &Tally) -> Option<Cell> {
        if !self.lag(tally) {
            return None;
        }
        let start = start % self.cells.len();
        let mut order = (start..self.cells.len()).chain(0..start);
        let place = order
            .find(|place| self.cells[*place].0.state == state)
            .unwrap_or(start);
        let (cell, tried) = &mut self.cells[place];
        *tried += 1;
        Some(*cell)
    }
}
