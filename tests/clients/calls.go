package main

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/metrics/pkg/client/custom_metrics"
)

// Call is one thing to ask.
type Call struct {
	// What the answer is named.
	Name string `json:"name"`
	// Which: see (*clients).ask.
	Call string `json:"call"`
	// A group and kind, `Deployment.apps`.
	Kind string `json:"kind"`
	// Of the object; empty for one that has none.
	Namespace string `json:"namespace"`
	// The object's name.
	Object string `json:"object"`
	Metric string `json:"metric"`
	// Labels of the objects; of an external metric, the labels of its series.
	Selector string `json:"selector"`
	// Labels of a custom metric's series.
	MetricSelector string `json:"metricSelector"`
	// For a document that is read as it is.
	Path string `json:"path"`
}

// Answer is what a client made of it: a result or an error.
type Answer struct {
	Name     string    `json:"name"`
	Ok       bool      `json:"ok"`
	Result   any       `json:"result,omitempty"`
	Error    *Error    `json:"error,omitempty"`
	Requests []Request `json:"requests"`
	Warnings []string  `json:"warnings"`
}

// Error is an error as a controller looks at it.
type Error struct {
	Reason  metav1.StatusReason `json:"reason"`
	Code    int32               `json:"code"`
	Message string              `json:"message"`
	// Whether the body was a Status, so that the message is the server's own.
	Status bool `json:"status"`
	// Which of the predicates of k8s.io/apimachinery/pkg/api/errors hold.
	Is []string `json:"is"`
}

var errNoSuchCall = errors.New("no such call")

const deadline = 30 * time.Second

func (c *clients) answer(call Call) (Answer, error) {
	result, err := c.ask(call)
	if errors.Is(err, errNoSuchCall) {
		return Answer{}, err
	}
	requests, warnings := c.log.take()
	answer := Answer{Name: call.Name, Ok: err == nil, Requests: requests, Warnings: warnings}
	if err != nil {
		answer.Error = describe(err)
	} else {
		answer.Result = result
	}
	return answer, nil
}

func (c *clients) ask(call Call) (any, error) {
	switch call.Call {
	case "object":
		return c.object(call)
	case "objects":
		return c.objects(call)
	case "external":
		selector, err := labels.Parse(call.Selector)
		if err != nil {
			return nil, err
		}
		return externalList(c.external.NamespacedMetrics(call.Namespace).List(call.Metric, selector))
	case "pods", "nodes":
		return c.usage(call)
	case "groups":
		return c.groups(false)
	case "legacy-groups":
		return c.groups(true)
	case "preferred":
		return c.preferred()
	case "mapping":
		return c.mapping(call)
	case "openapi-v2":
		return c.openAPIv2()
	case "openapi-v3":
		return c.openAPIv3()
	case "document":
		return c.document(call)
	default:
		return nil, errNoSuchCall
	}
}

func (c *clients) scope(call Call) custom_metrics.MetricsInterface {
	if call.Namespace == "" {
		return c.custom.RootScopedMetrics()
	}
	return c.custom.NamespacedMetrics(call.Namespace)
}

// object is one object's metric: what an HPA's Object source asks.
func (c *clients) object(call Call) (any, error) {
	series, err := labels.Parse(call.MetricSelector)
	if err != nil {
		return nil, err
	}
	kind := schema.ParseGroupKind(call.Kind)
	value, err := c.scope(call).GetForObject(kind, call.Object, call.Metric, series)
	if err != nil {
		return nil, err
	}
	return customValue(value), nil
}

// objects is the metric of all objects of a kind that a selector chooses: what an HPA's Pods source asks.
func (c *clients) objects(call Call) (any, error) {
	objects, err := labels.Parse(call.Selector)
	if err != nil {
		return nil, err
	}
	series, err := labels.Parse(call.MetricSelector)
	if err != nil {
		return nil, err
	}
	kind := schema.ParseGroupKind(call.Kind)
	return customList(c.scope(call).GetForObjects(kind, objects, call.Metric, series))
}

// usage is what metrics.k8s.io says of pods or nodes: what an HPA's Resource source asks.
func (c *clients) usage(call Call) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	options := metav1.ListOptions{LabelSelector: call.Selector}
	if call.Call == "nodes" {
		list, err := c.resource.NodeMetricses().List(ctx, options)
		return list, err
	}
	list, err := c.resource.PodMetricses(call.Namespace).List(ctx, options)
	return list, err
}

func describe(err error) *Error {
	described := &Error{Message: err.Error(), Reason: apierrors.ReasonForError(err), Is: []string{}}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		described.Code = status.Status().Code
		described.Status = true
		if details := status.Status().Details; details != nil {
			for _, cause := range details.Causes {
				// client-go says so of a body that is no Status
				if cause.Type == metav1.CauseTypeUnexpectedServerResponse {
					described.Status = false
				}
			}
		}
	}
	for _, predicate := range []struct {
		name  string
		holds func(error) bool
	}{
		{"NotFound", apierrors.IsNotFound},
		{"Forbidden", apierrors.IsForbidden},
		{"Unauthorized", apierrors.IsUnauthorized},
		{"BadRequest", apierrors.IsBadRequest},
		{"ServiceUnavailable", apierrors.IsServiceUnavailable},
		{"InternalError", apierrors.IsInternalError},
		{"Timeout", apierrors.IsTimeout},
		{"TooManyRequests", apierrors.IsTooManyRequests},
		{"MethodNotSupported", apierrors.IsMethodNotSupported},
		{"NotAcceptable", apierrors.IsNotAcceptable},
		{"UnexpectedServerError", apierrors.IsUnexpectedServerError},
	} {
		if predicate.holds(err) {
			described.Is = append(described.Is, predicate.name)
		}
	}
	if _, suggested := apierrors.SuggestsClientDelay(err); suggested {
		described.Is = append(described.Is, "Retry")
	}
	return described
}
