//! XML that says what it was told to, whatever stands in it.

/// An element.
#[derive(Debug, Clone)]
pub struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    children: Vec<Element>,
    text: Option<String>,
}

impl Element {
    /// An empty element.
    pub fn new(name: &'static str) -> Element {
        Element {
            name,
            attributes: Vec::new(),
            children: Vec::new(),
            text: None,
        }
    }

    /// With an attribute more.
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Element {
        self.attributes.push((name, value.to_string()));
        self
    }

    /// With a child more.
    pub fn holding(mut self, child: Element) -> Element {
        self.children.push(child);
        self
    }

    /// With this text.
    pub fn saying(mut self, text: impl ToString) -> Element {
        self.text = Some(text.to_string());
        self
    }

    /// As text, a line for each element, children two spaces further in.
    pub fn render(&self) -> String {
        self.at_depth(0)
    }

    fn at_depth(&self, depth: usize) -> String {
        let indent = "  ".repeat(depth);
        let mut text = format!("{indent}<{}", self.name);
        for (name, value) in &self.attributes {
            text += &format!(" {name}='{}'", escape(value));
        }
        match (&self.text, self.children.as_slice()) {
            (Some(said), _) => text += &format!(">{}</{}>\n", escape(said), self.name),
            (None, []) => text += "/>\n",
            (None, children) => {
                text += ">\n";
                for child in children {
                    text += &child.at_depth(depth + 1);
                }
                text += &format!("{indent}</{}>\n", self.name);
            }
        }
        text
    }
}

/// Text as it stands in XML, also between quotes. What no XML can hold becomes U+FFFD.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '\'' => escaped += "&apos;",
            '"' => escaped += "&quot;",
            '\t' | '\n' | '\r' => escaped += &format!("&#{};", u32::from(c)),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_said_becomes_markup() {
        assert_eq!(
            escape("a'\"<&>\n\u{1b}\0é"),
            "a&apos;&quot;&lt;&amp;&gt;&#10;\u{fffd}\u{fffd}é"
        );
        let element = Element::new("a")
            .with("b", "'/><c d='")
            .holding(Element::new("e").saying("]]></e>"));
        assert_eq!(
            element.render(),
            "<a b='&apos;/&gt;&lt;c d=&apos;'>\n  <e>]]&gt;&lt;/e&gt;</e>\n</a>\n"
        );
    }
}
