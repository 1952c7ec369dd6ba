package main

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"
	"k8s.io/metrics/pkg/apis/external_metrics/v1beta1"
)

// CustomValue is a decoded value about an object.
type CustomValue struct {
	Kind       string `json:"kind"`
	APIVersion string `json:"apiVersion"`
	Namespace  string `json:"namespace"`
	Object     string `json:"object"`
	Metric     string `json:"metric"`
	// The selector that came back, as text; absent where none did.
	Selector *string `json:"selector"`
	Sample
}

// ExternalValue is a decoded value about nothing in the cluster.
type ExternalValue struct {
	Metric string            `json:"metric"`
	Labels map[string]string `json:"labels"`
	Sample
}

// Sample is the number and its time.
type Sample struct {
	// As a Quantity prints itself.
	Value string `json:"value"`
	// As the HPA controller reads it.
	Milli int64 `json:"milli"`
	// Seconds since 1970; 0 for the zero time.
	Time   int64  `json:"time"`
	Window *int64 `json:"window"`
}

func customValue(value *v1beta2.MetricValue) CustomValue {
	decoded := CustomValue{
		Kind:       value.DescribedObject.Kind,
		APIVersion: value.DescribedObject.APIVersion,
		Namespace:  value.DescribedObject.Namespace,
		Object:     value.DescribedObject.Name,
		Metric:     value.Metric.Name,
		Sample: Sample{
			Value:  value.Value.String(),
			Milli:  value.Value.MilliValue(),
			Time:   seconds(value.Timestamp),
			Window: value.WindowSeconds,
		},
	}
	if value.Metric.Selector != nil {
		text := metav1.FormatLabelSelector(value.Metric.Selector)
		decoded.Selector = &text
	}
	return decoded
}

func customList(list *v1beta2.MetricValueList, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	decoded := make([]CustomValue, 0, len(list.Items))
	for i := range list.Items {
		decoded = append(decoded, customValue(&list.Items[i]))
	}
	return decoded, nil
}

func externalList(list *v1beta1.ExternalMetricValueList, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	decoded := make([]ExternalValue, 0, len(list.Items))
	for i := range list.Items {
		item := &list.Items[i]
		decoded = append(decoded, ExternalValue{
			Metric: item.MetricName,
			Labels: item.MetricLabels,
			Sample: Sample{
				Value:  item.Value.String(),
				Milli:  item.Value.MilliValue(),
				Time:   seconds(item.Timestamp),
				Window: item.WindowSeconds,
			},
		})
	}
	return decoded, nil
}

func seconds(time metav1.Time) int64 {
	if time.IsZero() {
		return 0
	}
	return time.Unix()
}
