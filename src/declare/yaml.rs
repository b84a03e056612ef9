//! A YAML text as a tree with lines, before anything is made of its words. What a text can do to its
//! reader is bounded: its depth, and how much its aliases repeat.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::fault::Faults;
use crate::text::shortened;

/// The deepest nesting that is read.
const DEEPEST: usize = 64;
/// The most nodes that are read, repeated ones counted each time.
const MOST_NODES: usize = 200_000;

/// A node and the line that it begins in, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub node: Node,
    /// Its line.
    pub line: usize,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A word without quotes, which may be a number; empty where there is no value at all.
    Plain(String),
    /// A text in quotes or a block.
    Text(String),
    /// A sequence.
    List(Vec<Item>),
    /// A mapping, in order: keys are words or texts.
    Map(Vec<(Item, Item)>),
}

impl Item {
    fn size(&self) -> usize {
        let below = match &self.node {
            Node::List(items) => items.iter().map(Item::size).sum(),
            Node::Map(entries) => entries.iter().map(|(_, value)| value.size()).sum(),
            _ => 0,
        };
        1 + below
    }
}

/// The documents of a text, or the first one alone; what is wrong with it becomes faults, and ends
/// the reading.
pub fn documents(text: &str, is_first_only: bool, faults: &mut Faults) -> Vec<Item> {
    let mut tree = Tree::default();
    for event in Parser::new_from_str(text) {
        let told = match event {
            Ok((event, span)) => tree.take(event, span),
            Err(error) => Err((error.marker().line(), format!("not YAML: {}", error.info()))),
        };
        if let Err((line, message)) = told {
            faults.add(line, message);
            return Vec::new();
        }
        if is_first_only && !tree.documents.is_empty() {
            break;
        }
    }
    if tree.documents.is_empty() {
        faults.add(1, "the file holds nothing");
    }
    tree.documents
}

type Told<T> = Result<T, (usize, String)>;

/// A list or mapping that is not at its end yet.
struct Open {
    line: usize,
    anchor: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Item>),
    Map(Vec<(Item, Item)>, Option<Item>),
}

#[derive(Default)]
struct Tree {
    open: Vec<Open>,
    anchors: HashMap<usize, Item>,
    documents: Vec<Item>,
    nodes: usize,
}

impl Tree {
    fn take(&mut self, event: Event<'_>, span: Span) -> Told<()> {
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = is_text(tag.as_deref(), line)? || style != ScalarStyle::Plain;
                let node = match is_text {
                    true => Node::Text(text.into_owned()),
                    false => Node::Plain(text.into_owned()),
                };
                self.put(Item { node, line }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                is_text(tag.as_deref(), line)?;
                self.begin(line, anchor, Kind::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                is_text(tag.as_deref(), line)?;
                self.begin(line, anchor, Kind::Map(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { line, anchor, kind }) = self.open.pop() else {
                    return Ok(());
                };
                let node = match kind {
                    Kind::List(items) => Node::List(items),
                    Kind::Map(entries, ..) => Node::Map(entries),
                };
                self.put(Item { node, line }, anchor)
            }
            Event::Alias(anchor) => {
                let Some(known) = self.anchors.get(&anchor) else {
                    return Err((line, "an alias of what is not at its end yet".to_owned()));
                };
                self.nodes += known.size();
                let node = match self.nodes > MOST_NODES {
                    true => return Err((line, "its aliases repeat too much".to_owned())),
                    false => known.node.clone(),
                };
                self.put(Item { node, line }, 0)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, line: usize, anchor: usize, kind: Kind) -> Told<()> {
        if self.open.len() >= DEEPEST {
            return Err((line, format!("nested deeper than {DEEPEST} levels")));
        }
        self.open.push(Open { line, anchor, kind });
        Ok(())
    }

    fn put(&mut self, item: Item, anchor: usize) -> Told<()> {
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            return Err((item.line, format!("it holds more than {MOST_NODES} nodes")));
        }
        // 0 is no anchor. Aliases in what they stand for would nest without bound.
        if anchor > 0 && depth(&item) < DEEPEST {
            self.anchors.insert(anchor, item.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.documents.push(item);
            return Ok(());
        };
        match &mut open.kind {
            Kind::List(items) => items.push(item),
            Kind::Map(entries, key) => match key.take() {
                Some(key) => entries.push((key, item)),
                None if matches!(item.node, Node::Plain(_) | Node::Text(_)) => *key = Some(item),
                None => return Err((item.line, "a key that is no text".to_owned())),
            },
        }
        Ok(())
    }
}

fn depth(item: &Item) -> usize {
    let below = match &item.node {
        Node::List(items) => items.iter().map(depth).max(),
        Node::Map(entries) => entries.iter().map(|(_, value)| depth(value)).max(),
        _ => None,
    };
    below.map_or(0, |below| below + 1)
}

/// Whether a tag makes a text of what follows. Others than the core schema's mean something to one
/// program only.
fn is_text(tag: Option<&Tag>, line: usize) -> Told<bool> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() => Ok(tag.suffix == "str"),
        Some(tag) => {
            let name = shortened(&format!("{}{}", tag.handle, tag.suffix));
            Err((line, format!("the tag {name} is not known here")))
        }
    }
}
