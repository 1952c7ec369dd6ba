//! End to end, against real parts: etcd, kube-apiserver, the HPA controller, KWOK, Prometheus, helm.

mod access;
mod ask;
mod attack;
mod clients;
mod edits;
mod examples;
mod faults;
mod hostile;
mod metrics;
mod registration;
mod rolling;
mod support;
mod tenancy;
mod traffic;
mod uninstall;
