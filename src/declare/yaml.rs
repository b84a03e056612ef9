//! A YAML text as a tree with lines. What a text can do to its reader is bounded: its depth, and how
//! much its aliases repeat.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::fault::Faults;
use crate::text::{quoted, shortened};

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
    /// Nothing: `~`, `null`, or no value at all.
    Null,
    /// A word without quotes, which may be a number.
    Plain(String),
    /// A text in quotes or a block.
    Text(String),
    /// A sequence.
    List(Vec<Item>),
    /// A mapping, in order.
    Map(Vec<Entry>),
}

/// One key of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub line: usize,
    /// Its value.
    pub value: Item,
}

impl Item {
    /// A text, in quotes or not.
    pub fn text(&self) -> Option<&str> {
        match &self.node {
            Node::Plain(text) | Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number from 0, which must not be in quotes.
    pub fn number(&self) -> Option<u32> {
        match &self.node {
            Node::Plain(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        }
    }

    /// The value of a mapping's key.
    pub fn get(&self, key: &str) -> Option<&Item> {
        let found = self.entries().iter().find(|entry| entry.key == key)?;
        Some(&found.value)
    }

    /// The entries of a mapping; none of anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.node {
            Node::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none of anything else.
    pub fn items(&self) -> &[Item] {
        match &self.node {
            Node::List(items) => items,
            _ => &[],
        }
    }

    /// What it is, for a message.
    pub fn shown(&self) -> String {
        match &self.node {
            Node::Null => "nothing".to_owned(),
            Node::Plain(text) => shortened(text),
            Node::Text(text) => quoted(text),
            Node::List(_) => "a list".to_owned(),
            Node::Map(_) => "a mapping".to_owned(),
        }
    }

    fn size(&self) -> usize {
        let below = match &self.node {
            Node::List(items) => items.iter().map(Item::size).sum(),
            Node::Map(entries) => entries.iter().map(|entry| entry.value.size()).sum(),
            _ => 0,
        };
        1 + below
    }
}

/// The documents of a text; what is wrong with it becomes faults, and ends the reading.
pub fn documents(text: &str, faults: &mut Faults) -> Vec<Item> {
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
    }
    for (line, message) in tree.doubles {
        faults.add(line, message);
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
    Map(Vec<Entry>, HashSet<String>, Option<(String, usize)>),
}

#[derive(Default)]
struct Tree {
    open: Vec<Open>,
    anchors: HashMap<usize, Item>,
    documents: Vec<Item>,
    doubles: Vec<(usize, String)>,
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
                    false if matches!(&*text, "" | "~" | "null" | "Null" | "NULL") => Node::Null,
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
                self.begin(line, anchor, Kind::Map(Vec::new(), HashSet::new(), None))
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
            Kind::Map(entries, keys, key) => match key.take() {
                Some((name, line)) => {
                    if !keys.insert(name.clone()) {
                        let message = format!("the key {} is there twice", quoted(&name));
                        self.doubles.push((line, message));
                    }
                    entries.push(Entry {
                        key: name,
                        line,
                        value: item,
                    });
                }
                None => match item.text() {
                    Some(text) => *key = Some((text.to_owned(), item.line)),
                    None => return Err((item.line, "a key that is no text".to_owned())),
                },
            },
        }
        Ok(())
    }
}

fn depth(item: &Item) -> usize {
    let below = match &item.node {
        Node::List(items) => items.iter().map(depth).max(),
        Node::Map(entries) => entries.iter().map(|entry| depth(&entry.value)).max(),
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
