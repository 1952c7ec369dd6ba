package main

import (
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	resourceclient "k8s.io/metrics/pkg/client/clientset/versioned/typed/metrics/v1beta1"
	"k8s.io/metrics/pkg/client/custom_metrics"
	"k8s.io/metrics/pkg/client/external_metrics"
)

// clients are built as kube-controller-manager builds those of the HPA controller (cmd/kube-controller-manager/app:
// autoscaling.go, controllermanager.go): one configuration, discovery cached in memory, a mapper that asks discovery again
// when it does not know a kind, the version of the custom metrics from discovery.
type clients struct {
	config    *rest.Config
	log       *requestLog
	discovery *discovery.DiscoveryClient
	cached    discovery.CachedDiscoveryInterface
	mapper    meta.RESTMapper
	custom    custom_metrics.CustomMetricsClient
	external  external_metrics.ExternalMetricsClient
	resource  resourceclient.MetricsV1beta1Interface
}

func newClients(kubeconfig, contentType, version string) (*clients, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	log := &requestLog{}
	config.ContentType = contentType
	config.UserAgent = "metrics-clients"
	config.WarningHandlerWithContext = log
	// what is measured is the server: a client that holds itself back would say so on standard error
	config.QPS = -1
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return log.around(next) })

	plain, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	cached := memory.NewMemCacheClient(plain)
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(cached)
	custom, err := customClient(config, mapper, plain, version)
	if err != nil {
		return nil, err
	}
	external, err := external_metrics.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	resource, err := resourceclient.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &clients{config, log, plain, cached, mapper, custom, external, resource}, nil
}

func customClient(
	config *rest.Config, mapper meta.RESTMapper, plain discovery.DiscoveryInterface, version string,
) (custom_metrics.CustomMetricsClient, error) {
	if version == "" {
		return custom_metrics.NewForConfig(config, mapper, custom_metrics.NewAvailableAPIsGetter(plain)), nil
	}
	for _, known := range custom_metrics.MetricVersions {
		if known.Version == version {
			return custom_metrics.NewForVersionForConfig(rest.CopyConfig(config), mapper, known)
		}
	}
	return nil, fmt.Errorf("the client knows no version %q", version)
}

// restClient is one for documents of a group that are read as they are.
func (c *clients) restClient() (rest.Interface, error) {
	config := rest.CopyConfig(c.config)
	config.GroupVersion = &schema.GroupVersion{}
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	return rest.UnversionedRESTClientFor(config)
}
