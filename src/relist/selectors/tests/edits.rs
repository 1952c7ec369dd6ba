//! Rules that are edited: what goes on being answered while other series are listed, and what does not.

use super::*;

/// The generation of the spec that a request meets, and the standing of its claim.
fn of(world: &World) -> (i64, Standing) {
    let served = world.served("http_requests_per_second").unwrap();
    (served.rule.object.generation, served.standing)
}

fn by(label: &str) -> String {
    REQUESTS.replace("pod!=", &format!("{label}!="))
}

#[tokio::test(start_paused = true)]
async fn an_edit_of_the_name_is_served_from_the_series_that_are_known() {
    let mut world = World::new();
    world.edit("a", 1, REQUESTS);
    world.list(|_| Ok(requests()));
    world.edit("a", 2, &REQUESTS.replace("_per_second", "_rate"));
    assert!(world.serves("http_requests_rate") && !world.serves("http_requests_per_second"));
    assert!(world.selectors.take_due(Instant::now()).is_none());
}

#[tokio::test(start_paused = true)]
async fn an_edit_of_the_selector_keeps_the_former_generation_until_it_is_listed() {
    let mut world = World::new();
    world.edit("a", 1, REQUESTS);
    world.list(|_| Ok(requests()));
    let edited = REQUESTS.replace("pod!=\"\"", "code!=\"\"");
    world.edit("a", 2, &edited);
    assert!(world.serves("http_requests_per_second"));
    let entry = world.catalog.entry(&RuleKey::cluster("a")).unwrap();
    assert_eq!(entry.metrics.rule.object.generation, 2);
    assert!(
        matches!(&entry.listing, Listing::Edited { former } if former.rule.object.generation == 1),
        "{:?}",
        entry.listing
    );
    world.edit(
        "a",
        3,
        &format!("{edited}\nnamespaceSelector: {{matchLabels: {{team: bank}}}}"),
    );
    assert!(
        !world.serves("http_requests_per_second"),
        "what narrows holds at once"
    );
    world.edit("a", 4, &edited);
    world.list(|_| Err(down()));
    let served = world.served("http_requests_per_second");
    assert!(
        served.is_some_and(|served| served.rule.object.generation == 4
            && served.standing == Standing::Unlisted(Some(Reason::BackendDown))),
        "after an attempt the former generation is over, and the claim is not"
    );
}

#[tokio::test(start_paused = true)]
async fn a_former_generation_goes_on_for_ten_seconds_at_most_and_for_no_other_backend() {
    let mut world = World::new();
    world.index.apply_backend(backend("second", "{}", false));
    world.edit("a", 1, REQUESTS);
    world.list(|_| Ok(requests()));
    // Three edits, whose listings all hang: the first generation's time runs from the first of them.
    for (generation, code) in [(2, "code"), (3, "job"), (4, "app")] {
        world.edit("a", generation, &REQUESTS.replace("pod!=", &format!("{code}!=")));
        assert_eq!(of(&world), (1, Standing::Answers), "{generation}");
        tokio::time::advance(Duration::from_secs(3)).await;
    }
    let ends = world.selectors.former_ends().unwrap();
    tokio::time::advance(ends - Instant::now()).await;
    world.publish();
    assert_eq!(of(&world), (4, Standing::Unlisted(None)));
    assert_eq!(world.selectors.former_ends(), None);

    world.list(|_| Ok(requests()));
    assert_eq!(of(&world), (4, Standing::Answers));
    world.edit("a", 5, &format!("{REQUESTS}\nbackendRef: {{name: second}}"));
    assert_eq!(of(&world), (5, Standing::Unlisted(None)));
}

#[tokio::test(start_paused = true)]
async fn a_refused_edit_answers_for_the_names_that_were_there() {
    let mut world = World::new();
    world.edit("a", 1, REQUESTS);
    world.list(|_| Ok(requests()));
    world.edit("a", 2, &REQUESTS.replace("<<.GroupBy>>", "<<.Nope>>"));
    let served = world
        .catalog
        .custom(&GroupResource::pods(), "http_requests_per_second", Some("shop"))
        .unwrap();
    assert_eq!(
        served.rule.refusal().map(|problem| problem.reason),
        Some(Reason::InvalidTemplate)
    );
    world.index.delete_rule(&RuleKey::cluster("a"));
    world.publish();
    assert!(!world.serves("http_requests_per_second"));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_never_had_the_former_answer_says_that_it_waits() {
    let mut world = World::new();
    world.edit("a", 1, REQUESTS);
    world.list(|_| Ok(requests()));
    world.edit("a", 2, &by("code"));
    assert_eq!(of(&world), (1, Standing::Answers));
    // Another replica, which starts now.
    world.selectors = Selectors::new(Jitter::of("metricrule-1"));
    world.publish();
    assert_eq!(of(&world), (2, Standing::Unlisted(None)));
}

#[tokio::test(start_paused = true)]
async fn a_refused_edit_never_leaves_the_old_answer() {
    let broken = |spec: &str| spec.replace("<<.GroupBy>>", "<<.Nope>>");
    // With other series to list, and with the same.
    for refused in [broken(&by("code")), broken(REQUESTS)] {
        let mut world = World::new();
        world.edit("a", 1, REQUESTS);
        world.list(|_| Ok(requests()));
        world.edit("a", 2, &refused);
        let served = world.served("http_requests_per_second").unwrap();
        let refusal = served.rule.refusal().map(|problem| problem.reason);
        assert_eq!((of(&world).0, refusal), (2, Some(Reason::InvalidTemplate)));
        // Nor does it come back with the next edit, and no refusal of the spec before is told for an accepted one.
        world.edit("a", 3, &by("job"));
        assert_eq!(of(&world), (3, Standing::Unlisted(None)));
    }
}
