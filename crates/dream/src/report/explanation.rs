//! The part of the page that shows which documents helped the LLM with one example.

use serde::{Deserialize, Serialize};

use super::{escape, push};

/// One example: a question, its target output, and what each candidate document did for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The query.
    pub question: String,
    /// The output that the LLM was to produce.
    pub target: String,
    /// The candidates; shown by falling retriever weight.
    pub documents: Vec<ExplainedDocument>,
}

/// One candidate of an [`Explanation`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExplainedDocument {
    /// Its id in the corpus.
    pub id: String,
    /// Its title, or nothing.
    pub title: String,
    /// Its text.
    pub text: String,
    /// The retriever's document weight, 0 to 1.
    pub retriever_weight: f64,
    /// d loss / d score: negative if a higher score would have made the target more likely.
    pub loss_gradient: f64,
    /// The LLM's own attention share of the document, 0 to 1, where known.
    pub own_share: Option<f64>,
    /// Whether the data names it as the passage with the answer.
    pub is_known_passage: bool,
}

/// Appends the example as HTML.
pub(super) fn put_explanation(html: &mut String, explanation: &Explanation) {
    push(
        html,
        format_args!(
            "<article class=\"example\">\n<dl class=\"task\"><div><dt>Question</dt><dd>{}</dd></div>\
         <div><dt>Target output</dt><dd>{}</dd></div></dl>\n<ol class=\"docs\">\n",
            escape(&explanation.question),
            escape(&explanation.target)
        ),
    );
    let mut documents: Vec<&ExplainedDocument> = explanation.documents.iter().collect();
    documents.sort_by(|a, b| b.retriever_weight.total_cmp(&a.retriever_weight));
    let gradients = documents
        .iter()
        .map(|d| d.loss_gradient.abs())
        .filter(|g| g.is_finite());
    let largest_gradient = gradients.fold(0.0, f64::max);
    for document in documents {
        put_document(html, document, largest_gradient);
    }
    *html += "</ol>\n</article>\n";
}

fn put_document(html: &mut String, document: &ExplainedDocument, largest_gradient: f64) {
    let (class, badge) = if document.is_known_passage {
        (
            " class=\"known\"",
            " <span class=\"badge\">known passage</span>",
        )
    } else {
        ("", "")
    };
    let name = if document.title.is_empty() {
        &document.id
    } else {
        &document.title
    };
    push(
        html,
        format_args!(
            "<li{class}>\n<div class=\"doc\"><h3>{}{badge}</h3>\n",
            escape(name)
        ),
    );
    put_text_with_rest(html, &document.text);
    *html += "</div>\n<dl class=\"bars\">\n";
    put_share_bar(html, "retriever's weight", document.retriever_weight);
    if let Some(own_share) = document.own_share {
        put_share_bar(html, "LLM's own attention", own_share);
    }
    let gain = -document.loss_gradient;
    let relative = if largest_gradient > 0.0 {
        gain / largest_gradient
    } else {
        0.0
    };
    let relative = if relative.is_finite() { relative } else { 0.0 };
    let (class, word) = match relative {
        r if r > 0.02 => ("helped", "helped"),
        r if r < -0.02 => ("hindered", "got in the way"),
        _ => ("neither", "no difference"),
    };
    push(
        html,
        format_args!(
            "<div><dt>effect on the answer</dt><dd><span class=\"two-way {class}\" \
         title=\"d loss / d score = {:+.2e}\"><i style=\"width:{:.1}%\"></i></span>\
         <span class=\"what\">{word}</span></dd></div>\n</dl>\n</li>\n",
            document.loss_gradient,
            relative.abs() * 50.0,
        ),
    );
}

/// One bar for a share of the whole.
fn put_share_bar(html: &mut String, label: &str, share: f64) {
    let percent = if share.is_finite() {
        share.clamp(0.0, 1.0) * 100.0
    } else {
        0.0
    };
    let written = if share.is_finite() {
        format!("{percent:.0}%")
    } else {
        "no value".into()
    };
    push(
        html,
        format_args!(
            "<div><dt>{label}</dt><dd><span class=\"one-way\"><i style=\"width:{percent:.1}%\"></i>\
         </span><span class=\"what\">{written}</span></dd></div>\n"
        ),
    );
}

/// A text; of a long one the beginning, and the rest behind a switch.
fn put_text_with_rest(html: &mut String, text: &str) {
    const SHOWN_CHARS: usize = 260;
    let text = text.trim();
    let cut = text
        .char_indices()
        .nth(SHOWN_CHARS)
        .map_or(text.len(), |(at, _)| at);
    let at = text[..cut]
        .rfind(char::is_whitespace)
        .filter(|at| *at > cut / 2)
        .unwrap_or(cut);
    if cut == text.len() || text[at..].chars().count() < 60 {
        push(html, format_args!("<p>{}</p>\n", escape(text)));
        return;
    }
    push(
        html,
        format_args!(
            "<p>{} …</p>\n<details><summary>rest of the document</summary><p>… {}</p></details>\n",
            escape(text[..at].trim_end()),
            escape(text[at..].trim_start())
        ),
    );
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn document(id: &str, weight: f64) -> ExplainedDocument {
        ExplainedDocument {
            id: id.into(),
            title: String::new(),
            text: "<script>alert(1)</script>".into(),
            retriever_weight: weight,
            loss_gradient: -0.1,
            own_share: Some(0.5),
            is_known_passage: true,
        }
    }

    #[test]
    fn candidates_stand_in_order_of_the_retrievers_weight() {
        let mut html = String::new();
        let explanation = Explanation {
            question: "q".into(),
            target: "t".into(),
            documents: vec![document("second", 0.3), document("first", 0.6)],
        };
        put_explanation(&mut html, &explanation);
        let at = |name: &str| html.find(&format!("<h3>{name}"));
        assert!(at("first").is_some() && at("first") < at("second"));
    }

    #[test]
    fn a_long_document_is_cut_at_a_word_and_can_be_opened() {
        let mut html = String::new();
        put_text_with_rest(&mut html, &"wörter ".repeat(100));
        assert!(html.contains("wörter …</p>") && html.contains("<p>… wörter "));
        let mut html = String::new();
        put_text_with_rest(&mut html, &"日".repeat(1000));
        assert!(html.contains("<details>"));
    }
}
