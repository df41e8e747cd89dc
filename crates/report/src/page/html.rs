//! HTML in which nothing but our own markup is markup.
//!
//! For the page. Markup is `&'static str`, so a name out of a table cannot become it; everything
//! else goes through `text`. Deliberately not here: what the page says.

/// HTML text that grows.
#[derive(Default)]
pub(super) struct Html {
    out: String,
}

impl Html {
    /// Our own markup, as it is.
    pub(super) fn markup(&mut self, markup: &'static str) -> &mut Self {
        self.out.push_str(markup);
        self
    }

    /// Any text, escaped.
    pub(super) fn text(&mut self, text: impl AsRef<str>) -> &mut Self {
        push_escaped(&mut self.out, text.as_ref());
        self
    }

    /// `<open>text<close>`.
    pub(super) fn element(
        &mut self,
        open: &'static str,
        text: impl AsRef<str>,
        close: &'static str,
    ) -> &mut Self {
        self.markup(open).text(text).markup(close)
    }

    /// A picture of ours, checked before.
    pub(super) fn picture(&mut self, svg: &super::svg::PlotSvg) -> &mut Self {
        self.out.push_str(svg.inline());
        self
    }

    /// A PNG inside the page.
    pub(super) fn png(&mut self, png: &[u8], description: &str) -> &mut Self {
        self.markup("<img alt=\"").text(description);
        self.markup("\" src=\"data:image/png;base64,");
        push_base64(&mut self.out, png);
        self.markup("\">")
    }

    pub(super) fn into_text(self) -> String {
        self.out
    }
}

/// Escapes for element content and quoted attributes; control characters become "�".
pub(crate) fn push_escaped(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push('\n'),
            control if control.is_control() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
}

fn push_base64(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out.reserve(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |place: usize| u32::from(group.get(place).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = (bits >> (18 - 6 * place)) as usize & 63;
            out.push(if place <= group.len() {
                char::from(DIGITS[digit])
            } else {
                '='
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_equals_the_examples_of_rfc_4648() {
        for (bytes, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut out = String::new();
            push_base64(&mut out, bytes.as_bytes());
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn text_cannot_become_markup_or_leave_an_attribute() {
        let mut html = Html::default();
        html.text("<b>&\"'\u{1b}[2J\u{7}</b>");
        assert_eq!(
            html.into_text(),
            "&lt;b&gt;&amp;&quot;&#39;\u{fffd}[2J\u{fffd}&lt;/b&gt;"
        );
    }
}
