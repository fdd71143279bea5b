//! What a request does.

mod events;
mod evict;
mod scale;

use bytes::Bytes;
use http::Method;
use http::request::Parts;
use serde_json::{Value, json};

use super::admission;
use super::apply::apply;
use super::failure::Failure;
use super::kinds::{ENSEMBLE, EVENT, NEW_EVENT};
use super::object::Object;
use super::owners::{self, Manager};
use super::route::Route;
use super::selector::Selector;
use super::store::{Key, Store};
use super::watch::Watch;
use super::write::{self, Deletion, Update};

/// A request, read.
pub(crate) struct Asked {
    method: Method,
    route: Route,
    body: Value,
    content_type: String,
    /// Only the metadata is wanted.
    metadata_only: bool,
    manager: String,
}

/// What comes of a request.
pub(crate) enum Answer {
    /// A code and an object.
    Object(u16, Value),
    /// A stream of changes.
    Watch(Box<Watch>),
}

impl Asked {
    /// Reads a request.
    pub(crate) fn read(head: &Parts, body: &Bytes) -> Result<Self, Failure> {
        let header = |name: http::HeaderName| {
            let value = head.headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let mut route = Route::parse(&head.uri)?;
        let mut body = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(body).map_err(|e| Failure::bad_request(e.to_string()))?
        };
        if route.kind == &NEW_EVENT {
            route.kind = &EVENT;
            body = events::from_new(body);
        }
        let agent = header(http::header::USER_AGENT);
        let agent = agent.split('/').next().unwrap_or_default();
        let manager = route
            .parameter("fieldManager")
            .unwrap_or(if agent.is_empty() { "unknown" } else { agent });
        Ok(Self {
            method: head.method.clone(),
            manager: manager.to_owned(),
            body,
            content_type: header(http::header::CONTENT_TYPE),
            metadata_only: header(http::header::ACCEPT).contains("as=PartialObjectMetadata"),
            route,
        })
    }

    fn namespace(&self) -> &str {
        self.route.namespace.as_deref().unwrap_or_default()
    }

    fn key(&self) -> Key {
        let name = self.route.name.as_deref().unwrap_or_default();
        Key::new(self.route.kind, self.namespace(), name)
    }

    fn author(&self, applies: bool) -> Manager {
        let part = self.route.part.as_deref().unwrap_or_default();
        let version = self.route.kind.api_version();
        Manager::new(&self.manager, applies, part, &version)
    }

    fn shown(&self, object: Value) -> Value {
        if self.metadata_only {
            return metadata_of(&object);
        }
        object
    }
}

/// Does what was asked.
pub(crate) fn carry_out(store: &mut Store, asked: Asked) -> Result<Answer, Failure> {
    if asked.route.parameter("dryRun") == Some("All") {
        return act(&mut store.clone(), &asked);
    }
    act(store, &asked)
}

fn act(store: &mut Store, asked: &Asked) -> Result<Answer, Failure> {
    let object = |object: Value| Answer::Object(200, asked.shown(object));
    match (
        &asked.route.name,
        asked.route.part.as_deref().unwrap_or_default(),
    ) {
        (None, _) => act_on_all(store, asked),
        (Some(_), "scale") => scale::act(store, asked).map(object),
        (Some(_), "eviction") => evict::act(store, asked).map(|done| Answer::Object(201, done)),
        (Some(_), "status") if !asked.route.kind.status => Err(Failure::no_such_path()),
        (Some(_), "" | "status") => match asked.method {
            Method::GET => get(store, &asked.key()).map(object),
            Method::PUT => replace(store, asked).map(object),
            Method::PATCH => patch(store, asked),
            Method::DELETE if asked.route.part.is_none() => {
                let how = Deletion::read(&asked.body, |name| {
                    asked.route.parameter(name).map(str::to_owned)
                });
                write::delete(store, &asked.key(), &how).map(object)
            }
            _ => Err(Failure::method_not_allowed()),
        },
        _ => Err(Failure::no_such_path()),
    }
}

fn act_on_all(store: &mut Store, asked: &Asked) -> Result<Answer, Failure> {
    match asked.method {
        Method::GET if asked.route.flag("watch") => {
            let version = asked.route.parameter("resourceVersion").unwrap_or_default();
            let watch = Watch {
                kind: asked.route.kind,
                namespace: asked.route.namespace.clone(),
                selector: selector(asked)?,
                from: version.parse().ok().filter(|version| *version > 0),
                bookmarks: asked.route.flag("allowWatchBookmarks"),
                initial_events: asked.route.flag("sendInitialEvents"),
                metadata_only: asked.metadata_only,
                seconds: asked
                    .route
                    .parameter("timeoutSeconds")
                    .and_then(|s| s.parse().ok()),
            };
            Ok(Answer::Watch(Box::new(watch)))
        }
        Method::GET => list(store, asked).map(|list| Answer::Object(200, list)),
        Method::POST => {
            let kind = asked.route.kind;
            strictly(asked, &asked.body)?;
            let by = asked.author(false);
            let made = write::create(store, kind, asked.namespace(), asked.body.clone(), &by)?;
            Ok(Answer::Object(201, asked.shown(made)))
        }
        Method::DELETE => delete_all(store, asked).map(|list| Answer::Object(200, list)),
        _ => Err(Failure::method_not_allowed()),
    }
}

fn get(store: &Store, key: &Key) -> Result<Value, Failure> {
    let found = store.get(key).cloned();
    found.ok_or_else(|| Failure::not_found(key.kind, &key.name))
}

fn selector(asked: &Asked) -> Result<Selector, Failure> {
    let of = |name| asked.route.parameter(name).unwrap_or_default();
    Selector::parse(of("labelSelector"), of("fieldSelector"))
}

fn selected(store: &Store, asked: &Asked) -> Result<Vec<(Key, Value)>, Failure> {
    let selector = selector(asked)?;
    let all = store.all(asked.route.kind, asked.route.namespace.as_deref());
    let found = all.filter(|(_, object)| selector.selects(object));
    Ok(found.map(|(k, o)| (k.clone(), o.clone())).collect())
}

fn list(store: &Store, asked: &Asked) -> Result<Value, Failure> {
    let kind = asked.route.kind;
    let items: Vec<_> = selected(store, asked)?
        .into_iter()
        .map(|(_, object)| asked.shown(object))
        .collect();
    let (api_version, list) = if asked.metadata_only {
        (
            "meta.k8s.io/v1".to_owned(),
            "PartialObjectMetadataList".to_owned(),
        )
    } else {
        (kind.api_version(), format!("{}List", kind.kind))
    };
    Ok(json!({
        "apiVersion": api_version,
        "kind": list,
        "metadata": { "resourceVersion": store.version().to_string() },
        "items": items,
    }))
}

fn delete_all(store: &mut Store, asked: &Asked) -> Result<Value, Failure> {
    let before = list(store, asked)?;
    let how = Deletion::read(&asked.body, |_| None);
    for (key, _) in selected(store, asked)? {
        write::delete(store, &key, &how)?;
    }
    Ok(before)
}

fn replace(store: &mut Store, asked: &Asked) -> Result<Value, Failure> {
    strictly(asked, &asked.body)?;
    let by = asked.author(false);
    let update = Update {
        key: &asked.key(),
        object: asked.body.clone(),
        part: asked.route.part.as_deref().unwrap_or_default(),
        replaces: true,
    };
    write::update(store, update, |managers, before, after| {
        owners::updated(managers, &by, before, after)
    })
}

fn patch(store: &mut Store, asked: &Asked) -> Result<Answer, Failure> {
    if asked.content_type.starts_with("application/apply-patch") {
        return applied(store, asked);
    }
    let key = asked.key();
    let mut object = get(store, &key)?;
    // A patch that names none goes for whatever version there is.
    let wrong = |error: String| Failure::bad_request(error);
    match asked.content_type.as_str() {
        // Without lists, which ours do not change, both merges are the same.
        "application/merge-patch+json" | "application/strategic-merge-patch+json" => {
            json_patch::merge(&mut object, &asked.body);
        }
        "application/json-patch+json" => {
            let patch: json_patch::Patch = serde_json::from_value(asked.body.clone())
                .map_err(|error| wrong(error.to_string()))?;
            json_patch::patch(&mut object, &patch).map_err(|error| {
                Failure::invalid(key.kind, &key.name, &[(String::new(), error.to_string())])
            })?;
        }
        other => return Err(Failure::unsupported(other)),
    }
    strictly(asked, &object)?;
    let by = asked.author(false);
    let update = Update {
        key: &key,
        object,
        part: asked.route.part.as_deref().unwrap_or_default(),
        replaces: false,
    };
    let written = write::update(store, update, |managers, before, after| {
        owners::updated(managers, &by, before, after)
    })?;
    Ok(Answer::Object(200, asked.shown(written)))
}

fn applied(store: &mut Store, asked: &Asked) -> Result<Answer, Failure> {
    let key = asked.key();
    if asked.route.parameter("fieldManager").is_none() {
        return Err(Failure::bad_request(
            "fieldManager is required for apply patch",
        ));
    }
    let by = asked.author(true);
    let mut intent = asked.body.clone();
    strictly(asked, &intent)?;
    let Some(live) = store.get(&key).cloned() else {
        if !by.part.is_empty() {
            return Err(Failure::not_found(key.kind, &key.name));
        }
        let uid = intent.text("/metadata/uid");
        if !uid.is_empty() {
            let why = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was \
                 found"
            );
            return Err(Failure::conflict(key.kind, &key.name, &why));
        }
        // The version of what is gone is no obstacle.
        intent.unset("/metadata/resourceVersion");
        intent.set("/metadata/name", key.name.clone().into());
        let made = write::create(store, key.kind, &key.namespace, intent, &by)?;
        return Ok(Answer::Object(201, asked.shown(made)));
    };
    let managers = store.managers(&key).to_vec();
    let done = apply(&live, &managers, &intent, &by, asked.route.flag("force"))?;
    let mut object = done.object;
    for precondition in ["/metadata/resourceVersion", "/metadata/uid"] {
        if let Some(said) = intent.pointer(precondition) {
            object.set(precondition, said.clone());
        }
    }
    let update = Update {
        key: &key,
        object,
        part: asked.route.part.as_deref().unwrap_or_default(),
        replaces: false,
    };
    let written = write::update(store, update, |_, _, _| done.managers)?;
    Ok(Answer::Object(200, asked.shown(written)))
}

/// Refuses unknown fields of our resource if the client wants that.
fn strictly(asked: &Asked, object: &Value) -> Result<(), Failure> {
    let strict = asked.route.parameter("fieldValidation") == Some("Strict");
    if !strict || asked.route.kind != &ENSEMBLE {
        return Ok(());
    }
    let unknown = admission::unknown_fields(object);
    if unknown.is_empty() {
        return Ok(());
    }
    let list: Vec<_> = unknown
        .iter()
        .map(|field| format!("unknown field \"{field}\""))
        .collect();
    Err(Failure::bad_request(format!(
        "{} in version \"{}\" cannot be handled as a {}: strict decoding error: {}",
        ENSEMBLE.kind,
        ENSEMBLE.version,
        ENSEMBLE.kind,
        list.join(", ")
    )))
}

/// An object without all that is not metadata.
pub(crate) fn metadata_of(object: &Value) -> Value {
    json!({
        "apiVersion": "meta.k8s.io/v1",
        "kind": "PartialObjectMetadata",
        "metadata": object["metadata"],
    })
}
