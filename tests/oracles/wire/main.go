// Wire writes replies of the metrics APIs as Go's servers write them: the types of k8s.io/metrics through the serializer of
// apimachinery. Names between @ stand for what a test knows better.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kubejson "k8s.io/apimachinery/pkg/runtime/serializer/json"
	cmv1beta1 "k8s.io/metrics/pkg/apis/custom_metrics/v1beta1"
	cmv1beta2 "k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"
	emv1beta1 "k8s.io/metrics/pkg/apis/external_metrics/v1beta1"
)

// row is one object, written plainly and indented.
type row struct {
	Plain  string `json:"plain"`
	Pretty string `json:"pretty"`
}

var (
	at  = metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.FixedZone("", 3600)))
	pod = corev1.ObjectReference{Kind: "Pod", Namespace: "@namespace@", Name: "@name@", APIVersion: "/v1"}
)

func main() {
	selector := &metav1.LabelSelector{
		MatchLabels: map[string]string{"verb": "GET", "a": "b"},
		MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: "code", Operator: metav1.LabelSelectorOpIn, Values: []string{"200", "204"}},
			{Key: "host", Operator: metav1.LabelSelectorOpExists},
			{Key: "path", Operator: metav1.LabelSelectorOpDoesNotExist},
			{Key: "zone", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"b"}},
		},
	}
	value := resource.MustParse("1500m")
	v1beta1 := func(window *int64, selector *metav1.LabelSelector) cmv1beta1.MetricValue {
		return cmv1beta1.MetricValue{
			DescribedObject: pod, MetricName: "@metric@", Timestamp: at, WindowSeconds: window, Value: value, Selector: selector,
		}
	}
	v1beta2 := func(window *int64, selector *metav1.LabelSelector) cmv1beta2.MetricValue {
		return cmv1beta2.MetricValue{
			DescribedObject: pod, Metric: cmv1beta2.MetricIdentifier{Name: "@metric@", Selector: selector},
			Timestamp: at, WindowSeconds: window, Value: value,
		}
	}
	external := func(window *int64, labels map[string]string) emv1beta1.ExternalMetricValue {
		return emv1beta1.ExternalMetricValue{
			MetricName: "@metric@", MetricLabels: labels, Timestamp: at, WindowSeconds: window, Value: value,
		}
	}
	none, zero, minute := (*int64)(nil), new(int64), new(int64)
	*minute = 60
	both := func(name string, out map[string]row, window *int64, selector *metav1.LabelSelector) {
		one := []cmv1beta1.MetricValue{v1beta1(window, selector)}
		two := []cmv1beta2.MetricValue{v1beta2(window, selector)}
		out["v1beta1 "+name] = write(&cmv1beta1.MetricValueList{TypeMeta: kind("MetricValueList", cmv1beta1.SchemeGroupVersion), Items: one})
		out["v1beta2 "+name] = write(&cmv1beta2.MetricValueList{TypeMeta: kind("MetricValueList", cmv1beta2.SchemeGroupVersion), Items: two})
	}
	outside := func(items ...emv1beta1.ExternalMetricValue) row {
		return write(&emv1beta1.ExternalMetricValueList{TypeMeta: kind("ExternalMetricValueList", emv1beta1.SchemeGroupVersion), Items: items})
	}

	out := map[string]row{}
	both("one", out, none, nil)
	both("window 0", out, zero, nil)
	both("window 60", out, minute, nil)
	both("selector", out, none, selector)
	out["v1beta1 none"] = write(&cmv1beta1.MetricValueList{TypeMeta: kind("MetricValueList", cmv1beta1.SchemeGroupVersion), Items: []cmv1beta1.MetricValue{}})
	out["v1beta2 none"] = write(&cmv1beta2.MetricValueList{TypeMeta: kind("MetricValueList", cmv1beta2.SchemeGroupVersion), Items: []cmv1beta2.MetricValue{}})
	out["external one"] = outside(external(none, map[string]string{"foo": "@foo@"}))
	out["external labels"] = outside(external(minute, map[string]string{"zeta": "1", "alpha": "2<>&", "Beta": ""}))
	out["external no labels"] = outside(external(zero, map[string]string{}))
	out["external none"] = outside([]emv1beta1.ExternalMetricValue{}...)

	pods := schema.GroupResource{Group: "custom.metrics.k8s.io", Resource: "pods"}
	out["status forbidden"] = status(apierrors.NewForbidden(pods, "@name@", errors.New("@message@")))
	out["status not found"] = status(apierrors.NewGenericServerResponse(404, "get", schema.GroupResource{}, "", "", 0, false))
	out["status unauthorized"] = status(apierrors.NewUnauthorized("Unauthorized"))
	out["status bad request"] = status(apierrors.NewBadRequest("@message@"))
	out["status unavailable"] = status(apierrors.NewServiceUnavailable("@message@"))
	out["status too many"] = status(apierrors.NewTooManyRequests("@message@", 1))

	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(out); err != nil {
		log.Fatal(err)
	}
}

func kind(kind string, version schema.GroupVersion) metav1.TypeMeta {
	return metav1.TypeMeta{Kind: kind, APIVersion: version.String()}
}

func status(err *apierrors.StatusError) row {
	status := err.Status()
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	return write(&status)
}

func write(object runtime.Object) row {
	scheme := runtime.NewScheme()
	text := func(pretty bool) string {
		options := kubejson.SerializerOptions{Pretty: pretty}
		var buffer bytes.Buffer
		serializer := kubejson.NewSerializerWithOptions(kubejson.DefaultMetaFactory, scheme, scheme, options)
		if err := serializer.Encode(object, &buffer); err != nil {
			log.Fatal(err)
		}
		return buffer.String()
	}
	return row{text(false), text(true)}
}
