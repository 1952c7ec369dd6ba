// The reference server of the conformance suite: sigs.k8s.io/custom-metrics-apiserver with the provider of its own test
// adapter, which keeps what is written to it and has three external metrics built in.
//
// Upstream's main listens for writes on port 8080 of every address. This one takes the address from a flag, so that several
// run on one machine and none is reached from another; nothing else is different.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/emicklei/go-restful/v3"
	"k8s.io/component-base/logs"
	"k8s.io/component-base/metrics/legacyregistry"

	"sigs.k8s.io/custom-metrics-apiserver/pkg/apiserver/metrics"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/cmd"
	"sigs.k8s.io/custom-metrics-apiserver/test-adapter/provider"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	logs.InitLogs()
	defer logs.FlushLogs()

	adapter := cmd.AdapterBase{Name: "custom-metrics-test-adapter"}
	flags := adapter.Flags()
	writes := flags.String("write-address", "127.0.0.1:8080", "where POST /write-metrics/... is listened for, plain HTTP")
	logs.AddFlags(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}

	client, err := adapter.DynamicClient()
	if err != nil {
		return err
	}
	mapper, err := adapter.RESTMapper()
	if err != nil {
		return err
	}
	values, service := provider.NewFakeProvider(client, mapper)
	adapter.WithCustomMetrics(values)
	adapter.WithExternalMetrics(values)
	if err := metrics.RegisterMetrics(legacyregistry.Register); err != nil {
		return err
	}

	listener, err := net.Listen("tcp", *writes)
	if err != nil {
		return err
	}
	container := restful.NewContainer()
	container.Add(service)
	failed := make(chan error, 2)
	go func() {
		server := &http.Server{Handler: container, ReadHeaderTimeout: 3 * time.Second}
		failed <- server.Serve(listener)
	}()
	go func() { failed <- adapter.Run(ctx) }()
	return <-failed
}
