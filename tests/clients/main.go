// Asks the metrics APIs as Go's clients do, and says what they make of the answers.
//
// Standard input is a JSON list of calls (type Call), standard output one JSON line for each (type Answer), in order. Whatever
// client-go has to complain about is on standard error, by klog: on a good server it stays empty.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	kubeconfig := flag.String("kubeconfig", os.Getenv("KUBECONFIG"), "who asks, and which API server")
	contentType := flag.String("content-type", "application/vnd.kubernetes.protobuf",
		"what the clients are set to, as by the controller manager's --kube-api-content-type")
	version := flag.String("custom-version", "", "the version of custom.metrics.k8s.io; what discovery prefers when empty")
	flag.Parse()
	if err := run(*kubeconfig, *contentType, *version, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(kubeconfig, contentType, version string, input io.Reader, output io.Writer) error {
	clients, err := newClients(kubeconfig, contentType, version)
	if err != nil {
		return err
	}
	var calls []Call
	if err := json.NewDecoder(input).Decode(&calls); err != nil {
		return fmt.Errorf("the list of calls: %w", err)
	}
	lines := json.NewEncoder(output)
	for _, call := range calls {
		answer, err := clients.answer(call)
		if errors.Is(err, errNoSuchCall) {
			return fmt.Errorf("%s: %w: %q", call.Name, err, call.Call)
		}
		if err := lines.Encode(answer); err != nil {
			return err
		}
	}
	return nil
}
