//! APIServices of others: theirs now, theirs before, and made by others for the operator.

use std::time::Duration;

use k8s_openapi::ByteString;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{BOTH, CUSTOM, EXTERNAL, NOTHING, SERVICE, V1, V2, World, bundle, install, path, rest};
use crate::controller::{
    fake::{FakeApi, until},
    registration::{ApiState, FORMER, GIVE_BACK, Needs, RegisterMode, TAKE_OVER},
};

fn rival(api: &FakeApi, name: &str) {
    let (version, group) = name.split_once('.').unwrap();
    api.put(
        &path(name),
        json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}},
            "spec": {"group": group, "version": version, "groupPriorityMinimum": 100, "versionPriority": 100,
                "insecureSkipTLSVerify": true,
                "service": {"namespace": "keda", "name": "keda-operator", "port": 443}}}),
    );
}

#[tokio::test(start_paused = true)]
async fn a_rivals_api_service_is_not_touched() {
    let api = FakeApi::new();
    install(&api);
    rival(&api, EXTERNAL);
    rival(&api, V1);
    let before = (api.get(&path(EXTERNAL)), api.get(&path(V1)));
    let mut world = World::new(&api, RegisterMode::Auto, BOTH);
    rest(60).await;
    assert_eq!((api.get(&path(EXTERNAL)), api.get(&path(V1))), before);
    // Not even a write that changes nothing; and v1beta2, which clients prefer, is not made beside a foreign v1beta1.
    assert!(world.writes().is_empty());
    let ApiState::OwnedByOther(owner) = world.external() else {
        panic!("{:?}", world.external());
    };
    assert_eq!(
        owner.service,
        Some(("keda".to_owned(), "keda-operator".to_owned()))
    );
    let message = owner.to_string();
    assert!(
        message.contains("keda/keda-operator") && message.contains(TAKE_OVER),
        "{message}"
    );
    // One Event for each, whatever happens around it.
    world.claim.lost();
    rest(60).await;
    world.claim.held(Instant::now() + Duration::from_hours(1));
    world.needs.send_replace(BOTH.into());
    rest(600).await;
    let mut told = Vec::new();
    while let Ok(notice) = world.notices.try_recv() {
        assert_eq!((notice.warning, notice.reason.as_str()), (true, "OwnedByOther"));
        told.push(notice.regarding.name.unwrap());
    }
    assert_eq!(told, [V1, EXTERNAL]);
    // It goes: ours is made, both versions.
    api.remove(&path(V1));
    until("ours", || world.get(V1).is_some() && world.get(V2).is_some()).await;
    assert_eq!(api.get(&path(EXTERNAL)), before.0);
}

#[tokio::test(start_paused = true)]
async fn a_local_api_service_is_anothers() {
    let api = FakeApi::new();
    install(&api);
    api.put(&path(EXTERNAL), json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "spec": {"group": "external.metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 1, "versionPriority": 1}}));
    let world = World::new(&api, RegisterMode::Always, Needs::default());
    rest(60).await;
    assert!(world.api.writes(&path(EXTERNAL)).is_empty());
    assert!(matches!(world.external(), ApiState::OwnedByOther(owner) if owner.service.is_none()));
    // `always` needs no rule.
    assert!(world.get(V1).is_some() && world.get(V2).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_take_over_is_done_once_and_keeps_what_was() {
    let api = FakeApi::new();
    install(&api);
    rival(&api, V1);
    let former = api.get(&path(V1)).unwrap();
    let world = World::new(&api, RegisterMode::Auto, CUSTOM);
    rest(5).await;
    // Another's uid gives nothing.
    let annotate = |uid: Value| {
        api.edit(&path(V1), |object| {
            object["metadata"]["annotations"] = json!({TAKE_OVER: uid});
        });
    };
    annotate(json!("11111111-1111-1111-1111-111111111111"));
    rest(60).await;
    assert!(world.writes().is_empty());
    annotate(api.get(SERVICE).unwrap()["metadata"]["uid"].clone());
    until("taken", || {
        world.get(V2).is_some() && world.get(V1).unwrap()["spec"]["service"]["name"] == "metricrule"
    })
    .await;
    let taken = world.get(V1).unwrap();
    assert!(taken["spec"]["insecureSkipTLSVerify"].is_null() && taken["spec"]["caBundle"].is_string());
    assert_eq!(
        taken["metadata"]["ownerReferences"][0]["kind"],
        json!("ClusterRole")
    );
    let kept: Value =
        serde_json::from_str(taken["metadata"]["annotations"][FORMER].as_str().unwrap()).unwrap();
    assert_eq!(kept["spec"], former["spec"]);
    assert_eq!(kept["labels"], former["metadata"]["labels"]);
    assert!(taken["metadata"]["annotations"].get(TAKE_OVER).is_none());
    // The rival takes it back: once means once.
    rest(60).await;
    rival(&api, V1);
    let writes = world.api.writes(&path(V1)).len();
    rest(600).await;
    assert_eq!(world.api.writes(&path(V1)).len(), writes);
    assert!(matches!(world.custom(), ApiState::OwnedByOther(_)));
    // What is ours already is kept, or every HPA would lose it.
    assert_eq!(
        world.get(V2).unwrap()["spec"]["service"]["name"],
        json!("metricrule")
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_somebody_else_made_for_us_is_given_our_ca_and_no_more() {
    let api = FakeApi::new();
    install(&api);
    rival(&api, V1);
    api.edit(&path(V1), |object| {
        object["spec"]["service"] = json!({"namespace": "ns", "name": "metricrule", "port": 443});
        object["spec"]["insecureSkipTLSVerify"] = Value::Null;
        object["spec"]["versionPriority"] = json!(50);
    });
    let before = api.get(&path(V1)).unwrap();
    let world = World::new(&api, RegisterMode::Auto, NOTHING);
    until("our CA", || {
        world.get(V1).unwrap()["spec"]["caBundle"].is_string()
    })
    .await;
    let after = world.get(V1).unwrap();
    for field in ["labels", "ownerReferences", "annotations"] {
        assert_eq!(after["metadata"][field], before["metadata"][field]);
    }
    assert_eq!(after["spec"]["versionPriority"], json!(50));
    // More than ours in it is fine; and nobody withdraws it.
    let both = [&**world.bundle.borrow().as_ref().unwrap(), &*bundle()].concat();
    world.api.edit(&path(V1), |object| {
        object["spec"]["caBundle"] = json!(ByteString(both));
    });
    let writes = world.writes().len();
    world.hand.ahead(49);
    rest(120).await;
    assert_eq!(world.writes().len(), writes);
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_is_given_back_with_what_was_made_beside_it() {
    let api = FakeApi::new();
    install(&api);
    rival(&api, V1);
    let former = api.get(&path(V1)).unwrap();
    let world = World::new(&api, RegisterMode::Auto, CUSTOM);
    rest(5).await;
    let uid = api.get(SERVICE).unwrap()["metadata"]["uid"].clone();
    api.edit(&path(V1), |object| {
        object["metadata"]["annotations"] = json!({TAKE_OVER: uid});
    });
    until("taken", || {
        world.get(V2).is_some() && world.get(V1).unwrap()["spec"]["service"]["name"] == "metricrule"
    })
    .await;
    rest(60).await;
    // On the one that we made: both go.
    api.edit(&path(V2), |object| {
        object["metadata"]["annotations"][GIVE_BACK] = json!("true");
    });
    let rivals = |name: &str| world.get(name).unwrap()["spec"]["service"]["name"] == "keda-operator";
    until("given back", || rivals(V1) && rivals(V2)).await;
    let given = world.get(V1).unwrap();
    assert_eq!(given["spec"], former["spec"]);
    assert_eq!(given["metadata"]["labels"], former["metadata"]["labels"]);
    assert!(given["metadata"]["ownerReferences"].is_null());
    assert_eq!(given["metadata"]["annotations"], json!({}));
    let beside = world.get(V2).unwrap();
    assert_eq!(beside["spec"]["version"], json!("v1beta2"));
    assert_eq!(beside["spec"]["versionPriority"], json!(99));
    assert_eq!(beside["spec"]["insecureSkipTLSVerify"], json!(true));
    assert!(beside["spec"]["caBundle"].is_null() && beside["metadata"]["ownerReferences"].is_null());
    // It is another's from now on.
    let writes = world.writes().len();
    rest(600).await;
    assert_eq!(world.writes().len(), writes);
    assert!(matches!(world.custom(), ApiState::OwnedByOther(_)));
}

#[tokio::test(start_paused = true)]
async fn what_was_never_anothers_is_not_given_back() {
    let world = World::start(CUSTOM);
    until("made", || world.get(V1).is_some() && world.get(V2).is_some()).await;
    rest(60).await;
    let writes = world.writes().len();
    for former in [
        None,
        Some("no JSON"),
        Some(
            r#"{"spec": {"groupPriorityMinimum": 1, "versionPriority": 1, "service": {"namespace": "ns", "name": "metricrule"}}}"#,
        ),
    ] {
        world.api.edit(&path(V1), |object| {
            object["metadata"]["annotations"] = json!({GIVE_BACK: "true"});
            if let Some(former) = former {
                object["metadata"]["annotations"][FORMER] = json!(former);
            }
        });
        rest(60).await;
        assert_eq!(
            world.get(V1).unwrap()["spec"]["service"]["name"],
            json!("metricrule")
        );
    }
    assert_eq!(world.writes().len(), writes);
}
