use proptest::prelude::*;

use super::*;

fn collect(collector: &mut Collector, series: &[(&str, &[&str])]) {
    for (name, labels) in series {
        collector.label(NAME_LABEL, name);
        for label in *labels {
            collector.label(label, "x");
        }
        collector.end().unwrap();
    }
}

fn told(set: &SeriesSet) -> Vec<String> {
    let told = set.groups().map(|group| {
        let labels: Vec<&str> = group.labels().filter(|label| *label != NAME_LABEL).collect();
        format!("{}{{{}}} {}", group.name(), labels.join(","), group.count())
    });
    told.collect()
}

#[test]
fn series_are_counted_by_their_name_and_by_which_labels_they_have() {
    let mut collector = Collector::new(None, 0, usize::MAX);
    collect(
        &mut collector,
        &[
            ("b", &["pod", "node"]),
            ("a", &[]),
            ("b", &["node", "pod"]),
            ("b", &["pod"]),
        ],
    );
    collector.label("empty", "");
    collector.label(NAME_LABEL, "a");
    collector.end().unwrap();
    let set = collector.finish();
    assert_eq!(told(&set), ["a{} 2", "b{node,pod} 2", "b{pod} 1"]);
    assert_eq!((set.len(), set.unusable()), (5, 0));
    assert!(set.groups().all(|group| group.examples().is_empty()));
}

#[test]
fn a_hundred_thousand_names_take_no_more_room_than_max_series_of_them() {
    let mut collector = Collector::new(Some(1000), 0, usize::MAX);
    let mut most = 0;
    for number in (0..100_000).rev() {
        collect(
            &mut collector,
            &[(&format!("name_{number:06}"), &["pod", "namespace"])],
        );
        most = most.max(collector.bytes());
    }
    let set = collector.finish();
    assert_eq!((set.groups().count(), set.len()), (1000, 100_000));
    assert_eq!(&**set.groups().next().unwrap().name(), "name_000000");
    assert!(most < 400_000, "{most}");
}

#[test]
fn names_without_end_find_no_room() {
    let mut collector = Collector::new(Some(10), 0, 100_000);
    let full = (0..10_000).find_map(|number| {
        collector.label(NAME_LABEL, "a");
        collector.label(&format!("label_{number}"), "x");
        collector.end().err()
    });
    assert_eq!(full, Some(Full));
}

#[test]
fn what_no_metric_can_be_named_after_is_counted_and_not_kept() {
    let long = "x".repeat(MAX_NAME + 1);
    let mut collector = Collector::new(None, 1, usize::MAX);
    collect(&mut collector, &[(&long, &[]), ("a", &[&long]), ("a", &["pod"])]);
    collector.label(NAME_LABEL, "a");
    for number in 0..=MAX_LABELS {
        collector.label(&format!("l{number}"), "x");
    }
    collector.end().unwrap();
    let set = collector.finish();
    assert_eq!(told(&set), ["a{pod} 1"]);
    assert_eq!((set.len(), set.unusable()), (4, 3));
}

#[test]
fn examples_are_bounded_in_number_and_bytes() {
    let read = |examples, room| {
        let mut collector = Collector::new(None, examples, room);
        for pod in ["p", "q", "r"] {
            collector.label(NAME_LABEL, "a");
            collector.label("pod", &pod.repeat(300));
            collector.end().unwrap();
        }
        let set = collector.finish();
        let group = set.groups().next().unwrap().clone();
        assert_eq!(group.count(), 3);
        let pods = group
            .examples()
            .iter()
            .map(|series| series.get("pod").unwrap()[..1].to_owned());
        pods.collect::<Vec<_>>()
    };
    assert_eq!(read(2, usize::MAX), ["p", "q"]);
    assert_eq!(read(9, usize::MAX), ["p", "q", "r"]);
    // Half of it holds one series.
    assert_eq!(read(9, 1_300), ["p"]);
}

proptest! {
    /// The first `max` series are told apart as if all were there, in whatever order they come.
    #[test]
    fn the_cut_is_the_same_in_every_order(
        mut series in prop::collection::vec((0_u8..6, 0_u8..4), 0..60),
        max in 1_usize..40,
        seed in any::<u64>(),
    ) {
        let names: Vec<(String, Vec<String>)> = (0..6)
            .flat_map(|name| (0..4).map(move |shape| {
                (format!("n{name}"), (0..shape).map(|label| format!("l{label}")).collect())
            }))
            .collect();
        let read = |series: &[(u8, u8)], max| {
            let mut collector = Collector::new(max, 0, usize::MAX);
            for (name, shape) in series {
                let (name, labels) = &names[usize::from(*name) * 4 + usize::from(*shape)];
                let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
                collect(&mut collector, &[(name, &labels)]);
            }
            let set = collector.finish();
            // Of the last group a part counts.
            let mut left = max.unwrap_or(usize::MAX);
            let mut counted = Vec::new();
            for group in set.groups() {
                let taken = group.count().min(left);
                left -= taken;
                if taken > 0 {
                    counted.push((group.name().clone(), group.labels.clone(), taken));
                }
            }
            (counted, set.len())
        };
        let bounded = read(&series, Some(max));
        let (whole, total) = read(&series, None);
        let mut left = max;
        let expected: Vec<_> = whole
            .into_iter()
            .map(|(name, labels, count)| {
                let taken = count.min(left);
                left -= taken;
                (name, labels, taken)
            })
            .filter(|(.., taken)| *taken > 0)
            .collect();
        prop_assert_eq!(&bounded, &(expected, total));
        let turn = usize::try_from(seed % 61).unwrap() % series.len().max(1);
        series.rotate_left(turn);
        series.reverse();
        prop_assert_eq!(read(&series, Some(max)), bounded);
    }
}
