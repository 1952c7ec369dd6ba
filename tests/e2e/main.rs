//! End to end, against real parts: etcd, kube-apiserver, the HPA controller, KWOK, Prometheus, helm.

mod access;
mod ask;
mod edits;
mod examples;
mod faults;
mod metrics;
mod registration;
mod support;
mod tenancy;
mod uninstall;
