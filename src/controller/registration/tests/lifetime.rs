//! Lifetime of registrations: how they come back, and how they end.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use tokio::time::Instant;

use super::{
    BOTH, CUSTOM, EXTERNAL, NOTHING, ROLE, SERVICE, V1, V2, World, bundle, install, path, rest, start,
};
use crate::controller::{
    fake::{FakeApi, until},
    registration::{ApiState, Needs, RegisterMode, UNNEEDED_SINCE},
};

#[tokio::test(start_paused = true)]
async fn nothing_is_written_once_the_install_is_gone() {
    type Case = (&'static str, fn(&FakeApi), &'static str);
    let cases: [Case; 6] = [
        (
            "role gone",
            |api| api.remove(ROLE),
            "ClusterRole metricrule does not exist",
        ),
        (
            "role leaving",
            |api| {
                api.edit(ROLE, |role| {
                    role["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                });
            },
            "ClusterRole metricrule is being deleted",
        ),
        (
            "role unreadable",
            |api| api.fail("GET", ROLE, 403),
            "ClusterRole metricrule cannot be read",
        ),
        (
            "service gone",
            |api| api.remove(SERVICE),
            "Service ns/metricrule does not exist",
        ),
        (
            "service hangs",
            |api| api.hang("GET", SERVICE),
            "no answer within 5 s",
        ),
        (
            "no port",
            |api| {
                api.edit(SERVICE, |service| {
                    service["spec"]["ports"] = json!([{"name": "http", "port": 80}]);
                });
            },
            "has no port named `https`",
        ),
    ];
    for (case, uninstall, why) in cases {
        let world = World::start(BOTH);
        until("registered", || {
            [V1, V2, EXTERNAL].iter().all(|name| world.get(name).is_some())
        })
        .await;
        uninstall(&world.api);
        // The garbage collector.
        for name in [V1, V2, EXTERNAL] {
            world.api.remove(&path(name));
        }
        let writes = world.writes().len();
        world.bundle.send_replace(Some(bundle()));
        rest(120).await;
        assert_eq!(world.writes().len(), writes, "{case}");
        assert!(world.get(V1).is_none(), "{case}");
        assert!(
            matches!(world.custom(), ApiState::Unavailable { message } if message.contains(why)),
            "{case}: {:?}",
            world.custom()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_one_comes_back_and_a_reinstalls_owner_is_taken_up() {
    let world = World::start(CUSTOM);
    until("made", || world.get(V1).is_some() && world.get(V2).is_some()).await;
    rest(10).await;
    let begin = Instant::now();
    world.api.remove(&path(V1));
    until("made again", || world.get(V1).is_some()).await;
    assert!(begin.elapsed() < Duration::from_secs(5));

    world.api.remove(ROLE);
    install(&world.api);
    let uid = world.api.get(ROLE).unwrap()["metadata"]["uid"].clone();
    until("owned by the new role", || {
        world.get(V1).unwrap()["metadata"]["ownerReferences"][0]["uid"] == uid
    })
    .await;
    // Its port moves, and somebody adds an owner and turns verification off.
    world.api.edit(SERVICE, |service| {
        service["spec"]["ports"][1]["port"] = json!(8443);
    });
    world.api.edit(&path(V2), |object| {
        object["spec"]["insecureSkipTLSVerify"] = json!(true);
        object["metadata"]["ownerReferences"]
            .as_array_mut()
            .unwrap()
            .push(json!({"apiVersion": "v1", "kind": "Node",
            "name": "n", "uid": "u"}));
    });
    until("corrected", || {
        let object = world.get(V2).unwrap();
        object["spec"]["service"]["port"] == 8443
            && object["spec"]["insecureSkipTLSVerify"].is_null()
            && object["metadata"]["ownerReferences"] == world.get(V1).unwrap()["metadata"]["ownerReferences"]
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_no_rule_needs_is_withdrawn_after_a_day_together_and_across_leaders() {
    let world = World::start(CUSTOM);
    until("made", || world.get(V1).is_some() && world.get(V2).is_some()).await;
    // A re-sync that deletes all rules for a moment.
    world.needs.send_replace(Needs {
        synced: false,
        ..NOTHING.into()
    });
    rest(10).await;
    assert!(
        world.get(V1).unwrap()["metadata"]["annotations"]
            .get(UNNEEDED_SINCE)
            .is_none()
    );
    assert_eq!(world.custom(), ApiState::Pending);
    world.needs.send_replace(NOTHING.into());
    let stamped = |world: &World, name: &str| {
        world
            .get(name)
            .is_some_and(|o| o["metadata"]["annotations"][UNNEEDED_SINCE].is_string())
    };
    until("stamped", || stamped(&world, V1) && stamped(&world, V2)).await;
    assert_eq!(world.custom(), ApiState::NotNeeded);
    // Needed again: the stamp goes, and with it the time.
    world.hand.ahead(23);
    rest(60).await;
    world.needs.send_replace(CUSTOM.into());
    until("the stamp is gone", || {
        !stamped(&world, V1) && !stamped(&world, V2)
    })
    .await;
    world.needs.send_replace(NOTHING.into());
    world.hand.ahead(12);
    rest(60).await;
    // Another replica leads; the stamp counts on.
    let api = world.api.clone();
    drop(world);
    let world = World::new(&api, RegisterMode::Auto, Needs::default());
    api.edit(&path(V1), |object| {
        let since = start() + SignedDuration::from_hours(23);
        object["metadata"]["annotations"][UNNEEDED_SINCE] =
            json!((since - SignedDuration::from_hours(24)).to_string());
    });
    api.edit(&path(V2), |object| {
        object["metadata"]["annotations"][UNNEEDED_SINCE] =
            json!((start() - SignedDuration::from_hours(12)).to_string());
    });
    // Not while watches are not synced, and not while one of the two is not due.
    world.hand.ahead(30);
    rest(60).await;
    world.hand.ahead(-10);
    world.needs.send_replace(NOTHING.into());
    rest(60).await;
    assert!(world.get(V1).is_some() && world.get(V2).is_some());
    world.hand.ahead(4);
    rest(60).await;
    assert!(world.get(V1).is_none() && world.get(V2).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stamp_from_the_future_or_garbled_starts_anew() {
    let world = World::start(CUSTOM);
    until("made", || world.get(V1).is_some() && world.get(V2).is_some()).await;
    for stamp in ["2999-01-01T00:00:00Z", "yesterday"] {
        world.api.edit(&path(V1), |object| {
            object["metadata"]["annotations"] = json!({UNNEEDED_SINCE: stamp});
        });
        world.needs.send_replace(NOTHING.into());
        rest(60).await;
        let now = world.get(V1).unwrap()["metadata"]["annotations"][UNNEEDED_SINCE]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(now.starts_with("2026-01-01T"), "{now}");
    }
}
