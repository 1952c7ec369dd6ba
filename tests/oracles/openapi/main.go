// Openapi reads OpenAPI documents and writes them back with what Kubernetes' own parsers make of each: kube-openapi as the
// aggregator uses it, and gnostic with kube-openapi's models as kubectl does.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"sort"
	"strings"

	openapi_v2 "github.com/google/gnostic-models/openapiv2"
	openapi_v3 "github.com/google/gnostic-models/openapiv3"
	"k8s.io/kube-openapi/pkg/aggregator"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/util/proto"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

type row struct {
	Path     string `json:"path"`
	Document string `json:"document"`
	// Paths and Kinds: what the parsers found, sorted.
	Paths []string `json:"paths"`
	Kinds []string `json:"kinds"`
	// Error: why a parser refuses the document, or "".
	Error string `json:"error"`
}

func main() {
	var rows []row
	if err := json.NewDecoder(os.Stdin).Decode(&rows); err != nil {
		log.Fatal(err)
	}
	for i := range rows {
		judge := v2
		if strings.HasPrefix(rows[i].Path, "/openapi/v3/") {
			judge = v3
		}
		paths, models, err := judge([]byte(rows[i].Document))
		if err == nil {
			rows[i].Kinds, err = kinds(models)
		}
		sort.Strings(paths)
		rows[i].Paths, rows[i].Error = paths, ""
		if err != nil {
			rows[i].Error = err.Error()
		}
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(rows); err != nil {
		log.Fatal(err)
	}
}

func v2(document []byte) ([]string, proto.Models, error) {
	var parsed, merged spec.Swagger
	if err := json.Unmarshal(document, &parsed); err != nil {
		return nil, nil, err
	}
	if parsed.Paths == nil {
		return nil, nil, errors.New("no paths")
	}
	if err := aggregator.MergeSpecs(&merged, &parsed); err != nil {
		return nil, nil, err
	}
	var paths []string
	for path := range merged.Paths.Paths {
		paths = append(paths, path)
	}
	strict, err := openapi_v2.ParseDocument(document)
	if err != nil {
		return nil, nil, err
	}
	models, err := proto.NewOpenAPIData(strict)
	return paths, models, err
}

func v3(document []byte) ([]string, proto.Models, error) {
	var parsed spec3.OpenAPI
	if err := json.Unmarshal(document, &parsed); err != nil {
		return nil, nil, err
	}
	if parsed.Paths == nil {
		return nil, nil, errors.New("no paths")
	}
	var paths []string
	for path := range parsed.Paths.Paths {
		paths = append(paths, path)
	}
	strict, err := openapi_v3.ParseDocument(document)
	if err != nil {
		return nil, nil, err
	}
	models, err := proto.NewOpenAPIV3Data(strict)
	return paths, models, err
}

// kinds gives "group/version kind" of each model that says what it is.
func kinds(models proto.Models) ([]string, error) {
	found := []string{}
	for _, name := range models.ListModels() {
		model := models.LookupModel(name)
		if model == nil {
			return nil, fmt.Errorf("no model %s", name)
		}
		list, _ := model.GetExtensions()["x-kubernetes-group-version-kind"].([]interface{})
		for _, entry := range list {
			of := func(key string) interface{} {
				switch entry := entry.(type) {
				case map[interface{}]interface{}:
					return entry[key]
				case map[string]interface{}:
					return entry[key]
				}
				return nil
			}
			found = append(found, fmt.Sprintf("%v/%v %v", of("group"), of("version"), of("kind")))
		}
	}
	sort.Strings(found)
	return found, nil
}
