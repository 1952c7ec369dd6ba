package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/kube-openapi/pkg/spec3"
	custom1 "k8s.io/metrics/pkg/apis/custom_metrics/v1beta1"
	custom2 "k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"
	external1 "k8s.io/metrics/pkg/apis/external_metrics/v1beta1"
)

// ours tells the groups that the server under test answers for.
func ours(group string) bool {
	return group == "custom.metrics.k8s.io" || group == "external.metrics.k8s.io"
}

// Group is a group in discovery, with its resources by version.
type Group struct {
	Preferred string              `json:"preferred"`
	Versions  []string            `json:"versions"`
	Resources map[string][]string `json:"resources"`
}

// groups is discovery: aggregated, the way of clients since 1.26, or group by group, the way of older ones. Only the metrics
// APIs are told, but a failure of any group is an error.
func (c *clients) groups(legacy bool) (any, error) {
	client := c.discovery
	if legacy {
		fresh, err := discovery.NewDiscoveryClientForConfig(c.config)
		if err != nil {
			return nil, err
		}
		fresh.UseLegacyDiscovery = true
		client = fresh
	}
	groups, resources, err := client.ServerGroupsAndResources()
	if err != nil {
		return nil, err
	}
	found := map[string]*Group{}
	for _, group := range groups {
		if !ours(group.Name) {
			continue
		}
		versions := make([]string, 0, len(group.Versions))
		for _, version := range group.Versions {
			versions = append(versions, version.Version)
		}
		found[group.Name] = &Group{group.PreferredVersion.Version, versions, map[string][]string{}}
	}
	for _, list := range resources {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		group := found[gv.Group]
		if group == nil {
			continue
		}
		group.Resources[gv.Version] = describeResources(list.APIResources)
	}
	return found, nil
}

// preferred is what garbage collection, quota and namespace deletion walk through: it has to succeed for all groups.
func (c *clients) preferred() (any, error) {
	lists, err := c.discovery.ServerPreferredResources()
	if err != nil {
		return nil, err
	}
	deletable := discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"delete"}}, lists)
	found := map[string][]string{}
	for _, list := range deletable {
		if gv, err := schema.ParseGroupVersion(list.GroupVersion); err == nil && ours(gv.Group) {
			found[list.GroupVersion] = describeResources(list.APIResources)
		}
	}
	return map[string]any{"lists": len(lists), "deletable": found}, nil
}

func describeResources(resources []metav1.APIResource) []string {
	described := []string{}
	for _, resource := range resources {
		scope := "cluster"
		if resource.Namespaced {
			scope = "namespaced"
		}
		described = append(described,
			fmt.Sprintf("%s %s %s %s", resource.Name, scope, resource.Kind, strings.Join(resource.Verbs, ",")))
	}
	sort.Strings(described)
	return described
}

func (c *clients) mapping(call Call) (any, error) {
	mapping, err := c.mapper.RESTMapping(schema.ParseGroupKind(call.Kind))
	if err != nil {
		return nil, err
	}
	return map[string]string{"resource": mapping.Resource.Resource, "scope": string(mapping.Scope.Name())}, nil
}

// openAPIv2 is the document that kubectl before 1.27 explains from; kube-apiserver merges ours into it.
func (c *clients) openAPIv2() (any, error) {
	document, err := c.cached.OpenAPISchema()
	if err != nil {
		return nil, err
	}
	paths, definitions := []string{}, []string{}
	for _, path := range document.GetPaths().GetPath() {
		if strings.HasPrefix(path.GetName(), "/apis/custom.metrics.k8s.io/") ||
			strings.HasPrefix(path.GetName(), "/apis/external.metrics.k8s.io/") {
			paths = append(paths, path.GetName())
		}
	}
	for _, definition := range document.GetDefinitions().GetAdditionalProperties() {
		if name := definition.GetName(); strings.Contains(name, "_metrics.") {
			definitions = append(definitions, name)
		}
	}
	return map[string][]string{"paths": paths, "definitions": definitions}, nil
}

// openAPIv3 is what kubectl explains from since 1.27: the root, and the document of each of our versions, decoded whole.
func (c *clients) openAPIv3() (any, error) {
	paths, err := c.discovery.OpenAPIV3().Paths()
	if err != nil {
		return nil, err
	}
	found := map[string]any{}
	for path, version := range paths {
		group, isGroup := strings.CutPrefix(path, "apis/")
		if !isGroup || !ours(strings.Split(group, "/")[0]) {
			continue
		}
		text, err := version.Schema("application/json")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		document := &spec3.OpenAPI{}
		if err := json.Unmarshal(text, document); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		schemas := []string{}
		if document.Components != nil {
			for name := range document.Components.Schemas {
				schemas = append(schemas, name)
			}
		}
		sort.Strings(schemas)
		count := 0
		if document.Paths != nil {
			count = len(document.Paths.Paths)
		}
		found[path] = map[string]any{"paths": count, "schemas": schemas}
	}
	return found, nil
}

// document reads a path as it is, decodes it strictly into Go's type of its kind and encodes that again: nothing may be
// unknown to the type, lost or changed. The result is the kind.
func (c *clients) document(call Call) (any, error) {
	client, err := c.restClient()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	result := client.Get().RequestURI(call.Path).SetHeader("Accept", "application/json").Do(ctx)
	// Raw would give the error without a look at the Status in the body
	if err := result.Error(); err != nil {
		return nil, err
	}
	body, err := result.Raw()
	if err != nil {
		return nil, err
	}
	var meta metav1.TypeMeta
	if err := json.Unmarshal(body, &meta); err != nil {
		return nil, err
	}
	kind := meta.GroupVersionKind().GroupVersion().String() + " " + meta.Kind
	types := map[string]any{
		"v1 APIGroup":        &metav1.APIGroup{},
		"v1 APIResourceList": &metav1.APIResourceList{},
		"custom.metrics.k8s.io/v1beta1 MetricValueList":           &custom1.MetricValueList{},
		"custom.metrics.k8s.io/v1beta2 MetricValueList":           &custom2.MetricValueList{},
		"external.metrics.k8s.io/v1beta1 ExternalMetricValueList": &external1.ExternalMetricValueList{},
	}
	object := types[kind]
	if object == nil {
		return nil, fmt.Errorf("no type for %q", kind)
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(object); err != nil {
		return nil, err
	}
	again, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	var before, after any
	if err := json.Unmarshal(body, &before); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(again, &after); err != nil {
		return nil, err
	}
	if !reflect.DeepEqual(before, after) {
		return nil, fmt.Errorf("%s became %s", bytes.TrimSpace(body), again)
	}
	return kind, nil
}
