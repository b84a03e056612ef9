//! A YAML text as a tree with lines, before anything is made of its words. What a text can do to its
//! reader is bounded: its depth, its nodes and bytes with all that its aliases repeat, and how far the
//! parser reads on before it tells what it read.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::str::Chars;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::fault::Faults;
use vgpu_host::text::shortened;

/// The deepest nesting that is read.
const DEEPEST: usize = 64;
/// The most nodes that are read, repeated ones counted each time.
const MOST_NODES: usize = 50_000;
/// The most bytes that their texts have, repeated ones counted each time.
const MOST_BYTES: usize = 4 << 20;
/// The most anchors that are remembered.
const MOST_ANCHORS: usize = 5_000;
/// How many signs, which are neither letters, digits nor blanks, the parser may read without telling
/// what they mean: until a bracket closes it holds all that is in it, as it may be a key.
const MOST_SIGNS_AHEAD: usize = 32_000;

/// A node and the line that it begins in, from 1. What an alias repeats is shared.
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
    Plain(Rc<str>),
    /// A text in quotes or a block.
    Text(Rc<str>),
    /// A sequence.
    List(Rc<[Item]>),
    /// A mapping, in order: keys are words or texts.
    Map(Rc<[(Item, Item)]>),
}

/// How much there is of something, repeated parts counted each time.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

impl Size {
    fn of(item: &Item) -> Size {
        match &item.node {
            Node::Plain(text) | Node::Text(text) => Size {
                nodes: 1,
                bytes: text.len(),
                depth: 0,
            },
            Node::List(items) => Size::around(items.iter()),
            Node::Map(entries) => {
                Size::around(entries.iter().flat_map(|(key, value)| [key, value]))
            }
        }
    }

    fn around<'i>(items: impl Iterator<Item = &'i Item>) -> Size {
        let whole = Size {
            nodes: 1,
            bytes: 0,
            depth: 1,
        };
        items.fold(whole, |whole, item| {
            let part = Size::of(item);
            Size {
                nodes: whole.nodes + part.nodes,
                bytes: whole.bytes + part.bytes,
                depth: whole.depth.max(part.depth + 1),
            }
        })
    }
}

/// The text's characters, as long as the parser tells what it makes of them.
struct Fed<'t> {
    chars: Chars<'t>,
    ahead: Rc<Cell<usize>>,
}

impl Iterator for Fed<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let next = self.chars.next()?;
        if next.is_ascii_punctuation() {
            self.ahead.set(self.ahead.get() + 1);
        }
        (self.ahead.get() <= MOST_SIGNS_AHEAD).then_some(next)
    }
}

/// The documents of a text, or the first one alone; what is wrong with it becomes faults, and ends
/// the reading.
pub fn documents(text: &str, is_first_only: bool, faults: &mut Faults) -> Vec<Item> {
    let mut tree = Tree::default();
    let ahead = Rc::new(Cell::new(0));
    let fed = Fed {
        chars: text.chars(),
        ahead: Rc::clone(&ahead),
    };
    for event in Parser::new_from_iter(fed) {
        let is_too_far = ahead.replace(0) > MOST_SIGNS_AHEAD;
        let told = match event {
            _ if is_too_far => Err((tree.line, TOO_FAR.to_owned())),
            Ok((event, span)) => tree.take(event, span),
            Err(error) => Err((error.marker().line(), not_yaml(error.info()))),
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
        faults.add(1, "the file is empty");
    }
    tree.documents
}

const TOO_FAR: &str = "the list, mapping or string that begins here is too long or never ends";

fn not_yaml(why: &str) -> String {
    format!("not YAML: {}", shortened(why))
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
    anchors: HashMap<usize, (Item, Size)>,
    documents: Vec<Item>,
    /// All of it so far.
    size: Size,
    /// Where the last event began.
    line: usize,
}

impl Tree {
    fn take(&mut self, event: Event<'_>, span: Span) -> Told<()> {
        let line = span.start.line();
        self.line = line;
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = is_text(tag.as_deref(), line)? || style != ScalarStyle::Plain;
                let text = Rc::from(text);
                let node = match is_text {
                    true => Node::Text(text),
                    false => Node::Plain(text),
                };
                let item = Item { node, line };
                self.count(Size::of(&item), line)?;
                self.put(item, anchor)
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
                    Kind::List(items) => Node::List(items.into()),
                    Kind::Map(entries, ..) => Node::Map(entries.into()),
                };
                self.put(Item { node, line }, anchor)
            }
            Event::Alias(anchor) => {
                let Some((known, size)) = self.anchors.get(&anchor) else {
                    return Err((
                        line,
                        "an alias of a node that is not complete yet".to_owned(),
                    ));
                };
                let (node, size) = (known.node.clone(), *size);
                self.count(size, line)
                    .map_err(|_| (line, "its aliases expand to too much".to_owned()))?;
                self.put(Item { node, line }, 0)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, line: usize, anchor: usize, kind: Kind) -> Told<()> {
        if self.open.len() >= DEEPEST {
            return Err((line, format!("nested deeper than {DEEPEST} levels")));
        }
        self.count(
            Size {
                nodes: 1,
                ..Size::default()
            },
            line,
        )?;
        self.open.push(Open { line, anchor, kind });
        Ok(())
    }

    /// Counts what comes to the rest, and refuses what is too much.
    fn count(&mut self, more: Size, line: usize) -> Told<()> {
        self.size.nodes += more.nodes;
        self.size.bytes += more.bytes;
        if self.size.nodes > MOST_NODES {
            return Err((line, format!("it holds more than {MOST_NODES} nodes")));
        }
        if self.size.bytes > MOST_BYTES {
            return Err((line, format!("it holds more than {MOST_BYTES} bytes")));
        }
        Ok(())
    }

    fn remember(&mut self, item: &Item, anchor: usize) -> Told<()> {
        let size = Size::of(item);
        // Aliases in what they stand for would nest without bound.
        if size.depth < DEEPEST {
            self.anchors.insert(anchor, (item.clone(), size));
        }
        match self.anchors.len() > MOST_ANCHORS {
            true => Err((item.line, format!("more than {MOST_ANCHORS} anchors"))),
            false => Ok(()),
        }
    }

    fn put(&mut self, item: Item, anchor: usize) -> Told<()> {
        // 0 is no anchor.
        if anchor > 0 {
            self.remember(&item, anchor)?;
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
                None => return Err((item.line, "a key that is not a string".to_owned())),
            },
        }
        Ok(())
    }
}

/// Whether a tag makes a text of what follows. Others than the core schema's mean something to one
/// program only.
fn is_text(tag: Option<&Tag>, line: usize) -> Told<bool> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() => Ok(tag.suffix == "str"),
        Some(tag) => {
            let name = shortened(&format!("{}{}", tag.handle, tag.suffix));
            Err((line, format!("the tag {name} is not supported")))
        }
    }
}
