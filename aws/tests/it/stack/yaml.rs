//! What people read is what is deployed: a template written as YAML, read by somebody else's parser, is the one in JSON.

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Value, json};

use super::variants::all;

#[test]
fn what_people_read_is_what_programs_get() {
    for variant in all() {
        let mut expected = variant.template().to_json();
        for (_, resource) in expected["Resources"].as_object_mut().unwrap() {
            resource.as_object_mut().unwrap().remove("Metadata");
        }
        assert_eq!(read(&variant.template().to_yaml()), expected, "{}", variant.name());
    }
}

fn read(text: &str) -> Value {
    let mut events: Vec<Event<'_>> = Parser::new_from_str(text).map(|event| event.unwrap().0).collect();
    events.retain(|event| !matches!(event, Event::StreamStart | Event::DocumentStart(_)));
    value(&mut events.into_iter())
}

fn value<'a>(events: &mut impl Iterator<Item = Event<'a>>) -> Value {
    let event = events.next().unwrap();
    node(event, events)
}

fn node<'a>(event: Event<'a>, events: &mut impl Iterator<Item = Event<'a>>) -> Value {
    if let Event::Scalar(text, style, _, tag) = event {
        let plain = (style == ScalarStyle::Plain && tag.is_none()).then(|| serde_json::from_str(&text).ok()).flatten();
        return applied(tag.as_deref(), plain.unwrap_or_else(|| text.into_owned().into()));
    }
    if let Event::SequenceStart(_, tag) = event {
        let mut list = Vec::new();
        while let Some(event) = events.next().filter(|event| *event != Event::SequenceEnd) {
            list.push(node(event, events));
        }
        return applied(tag.as_deref(), list.into());
    }
    assert!(matches!(event, Event::MappingStart(..)), "{event:?} has no place here");
    let mut map = Map::new();
    while let Some(event) = events.next().filter(|event| *event != Event::MappingEnd) {
        let key = node(event, events);
        map.insert(key.as_str().unwrap().to_owned(), value(events));
    }
    map.into()
}

/// The short form of a function, as CloudFormation reads it.
fn applied(tag: Option<&Tag>, inner: Value) -> Value {
    match tag.map(|tag| tag.suffix.as_str()) {
        None => inner,
        Some("Ref") => json!({ "Ref": inner }),
        Some("GetAtt") => {
            let (id, name) = inner.as_str().unwrap().split_once('.').unwrap();
            json!({ "Fn::GetAtt": [id, name] })
        }
        Some(name) => json!({ format!("Fn::{name}"): inner }),
    }
}
