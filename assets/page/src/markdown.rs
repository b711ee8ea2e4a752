//! Doc comments as HTML.

use pulldown_cmark::{BrokenLink, Event, Options, Parser, Tag, TagEnd, html};

/// Returns a doc comment as HTML. A link becomes its text, because the page has no places for other items.
pub fn html(markdown: &str) -> String {
    let mut item_link = |link: BrokenLink| Some(("".into(), link.reference.into_string().into()));
    let parser = Parser::new_with_broken_link_callback(markdown, Options::ENABLE_TABLES, Some(&mut item_link));
    let text = parser.filter(|event| !matches!(event, Event::Start(Tag::Link { .. }) | Event::End(TagEnd::Link)));
    let mut out = String::new();
    html::push_html(&mut out, text);
    out
}
