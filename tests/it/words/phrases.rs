//! Phrases that must not come back, each with what to write instead.

/// A turn of phrase that a native reader stumbles over.
pub(super) struct Phrase {
    /// A regular expression; a space stands for any white space, and letters for either case. Where one of its groups matches, the
    /// phrase is right.
    pub(super) pattern: &'static str,
    /// What to write instead.
    pub(super) instead: &'static str,
    /// What it finds.
    pub(super) examples: &'static [&'static str],
    /// What it lets pass.
    pub(super) allowed: &'static [&'static str],
}

/// The list.
pub(super) static PHRASES: [Phrase; 28] = [
    Phrase {
        pattern: r"\b(there )?(?:is|are) no (longer\b|more than\b)?",
        instead: "`is not a valid …`, `is not …`",
        examples: &[
            "it is no YAML",
            "x is no PromQL that we can read",
            "these are no numbers",
        ],
        allowed: &[
            "there is no backend",
            "it is no longer trusted",
            "it is not a number",
        ],
    },
    Phrase {
        pattern: r"\bpass(?:ed|es)? over\b",
        instead: "`ignored`",
        examples: &["other kinds are passed over", "it passes over links"],
        allowed: &["it goes over verified TLS"],
    },
    Phrase {
        pattern: r"\bto be had\b|\bcan(?:not|'t) be had\b",
        instead: "`available`",
        examples: &["metrics are not to be had any more", "a metric cannot be had"],
        allowed: &["it had to be"],
    },
    Phrase {
        pattern: r"\b(?:is|are) lacking\b|\black(?:s|ing)? is named\b",
        instead: "`missing … are listed`",
        examples: &["what is lacking is named"],
        allowed: &["it lacks the label"],
    },
    Phrase {
        pattern: r"\bit tells\b|\b(?:is|are|was) told\b",
        instead: "`it shows`, `it reports`",
        examples: &["what it tells", "no window is told"],
        allowed: &["it shows the reason"],
    },
    Phrase {
        pattern: r"\bholds? (?:queries|requests) up\b",
        instead: "`delays queries`",
        examples: &["a ceiling holds queries up"],
        allowed: &["queries are held back"],
    },
    Phrase {
        pattern: r"\bstays? in force\b",
        instead: "`stays in use`",
        examples: &["the former one stays in force"],
        allowed: &["it stays in use"],
    },
    Phrase {
        pattern: r"\bat each look\b|\blooks? at the series\b|\blooked at at once\b|\bthe last (?:good )?look\b",
        instead: "`with each listing`, `the last listing`",
        examples: &[
            "the time between two looks at the series",
            "read at each look",
            "the last good look at its series",
        ],
        allowed: &["look at its load"],
    },
    Phrase {
        pattern: r"\bmend(?:s|ed|ing)?\b",
        instead: "`fix`",
        examples: &["mend these first"],
        allowed: &["recommend it"],
    },
    Phrase {
        pattern: r"\b(?:do|does) not decode\b",
        instead: "`cannot be decoded`",
        examples: &["the object does not decode"],
        allowed: &["it cannot be decoded"],
    },
    Phrase {
        pattern: r"\bis meant\?",
        instead: "`did you mean …?`",
        examples: &["\"rules\" is meant?"],
        allowed: &["did you mean \"rules\"?"],
    },
    Phrase {
        pattern: r"\bsomebody else's care\b",
        instead: "`somebody else manages …`",
        examples: &["the APIService is somebody else's care"],
        allowed: &["somebody else's APIService"],
    },
    Phrase {
        pattern: r"\bever more rarely\b",
        instead: "`less and less often`",
        examples: &["it is asked ever more rarely"],
        allowed: &["less and less often"],
    },
    Phrase {
        pattern: r"\b(?:served|sent|imported|fail|counted|sends them) all the same\b",
        instead: "`anyway`, `still`",
        examples: &["it is imported all the same"],
        allowed: &["they are all the same kind"],
    },
    Phrase {
        pattern: r"\bends soon\b|\bcertificate (?:ends|ended)\b",
        instead: "`expires`, `expired`",
        examples: &["the certificate ends at noon", "it ends soon"],
        allowed: &["the certificate expires at noon"],
    },
    Phrase {
        pattern: r"\bloses its word\b|\bis worth nothing\b",
        instead: "`is no longer trusted`",
        examples: &["a CA that leaves it loses its word"],
        allowed: &["it is no longer trusted"],
    },
    Phrase {
        pattern: r"\beverything became something\b|\bbecame something\b",
        instead: "`everything was converted`",
        examples: &["everything became something"],
        allowed: &["the rule became a MetricRule"],
    },
    Phrase {
        pattern: r"\bwithout a word\b",
        instead: "`silently`",
        examples: &["it leaves it out without a word"],
        allowed: &["it silently ignores it"],
    },
    Phrase {
        pattern: r"\btakes? any certificate\b|\btakes? the credentials\b",
        instead: "`accepts`",
        examples: &["it takes any certificate", "the backend takes the credentials"],
        allowed: &["it accepts any certificate"],
    },
    Phrase {
        pattern: r"\bstands? twice\b|\bis there already\b",
        instead: "`appears twice`, `already exists`",
        examples: &["the key stands twice in one mapping", "it is there already"],
        allowed: &["the key appears twice"],
    },
    Phrase {
        pattern: r"\b(?:everyone|everybody|whoever is) on the way\b",
        instead: "`anyone on the network path`",
        examples: &["where everyone on the way can read it"],
        allowed: &["anyone on the network path can read it"],
    },
    Phrase {
        pattern: r"\bgive (?:it|ours|theirs|its [a-z]+|the [a-z]+'s) by --",
        instead: "`set … with --flag`",
        examples: &["give ours by --service", "give its CA by --peer-ca"],
        allowed: &["set its CA with --peer-ca"],
    },
    Phrase {
        pattern: r"\bput right\b",
        instead: "`corrected`",
        examples: &["the APIService was put right"],
        allowed: &["the right to put it"],
    },
    Phrase {
        pattern: r"\bnobody was answered\b|\banswers nobody:",
        instead: "`the backend has not answered`",
        examples: &["nobody was answered since noon"],
        allowed: &["the backend does not answer"],
    },
    Phrase {
        pattern: r"\bhow hard\b|\bpress(?:es|ed)? (?:it|the backend)\b",
        instead: "`how many queries …`, `limits`",
        examples: &["how hard each replica presses it"],
        allowed: &["how many queries each replica sends"],
    },
    Phrase {
        pattern: r"\bhardly as\b|\bnot as meant\b|\bthan was meant\b",
        instead: "`probably not as intended`",
        examples: &["a rule that works, but hardly as meant"],
        allowed: &["it works but probably not as intended"],
    },
    Phrase {
        pattern: r"\bkeeps? of (?:it|them) no\b|\bof (?:it|them) nothing\b|\bdoes nothing in\b",
        instead: "`has no effect`",
        examples: &["the key does nothing in a trigger"],
        allowed: &["it has no effect"],
    },
    Phrase {
        pattern: r"\| (?:it tells|look at|says|for which|where it is) \|",
        instead: "a noun as the head of a table",
        examples: &["| look at | it tells |"],
        allowed: &["| Command | What it shows |"],
    },
];
