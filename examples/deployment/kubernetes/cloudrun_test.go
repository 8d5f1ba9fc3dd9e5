package kubernetes_test

import (
	"errors"
	"os"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// A knativeService is the part of Knative's type that Cloud Run documents. Its pods are
// Kubernetes' own.
type knativeService struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Template struct {
			metav1.ObjectMeta `json:"metadata"`
			Spec              struct {
				corev1.PodSpec       `json:",inline"`
				ContainerConcurrency int `json:"containerConcurrency"`
				TimeoutSeconds       int `json:"timeoutSeconds"`
			} `json:"spec"`
		} `json:"template"`
	} `json:"spec"`
}

// TestCloudRun decodes the service of ../platforms strictly, and checks what background work
// needs.
func TestCloudRun(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../platforms/cloudrun/service.yaml")
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		t.Fatal(err)
	}
	var service knativeService
	strict, err := kjson.UnmarshalStrict(encoded, &service)
	if err := errors.Join(append(strict, err)...); err != nil {
		t.Fatal(err)
	}
	annotations := service.Spec.Template.Annotations
	if annotations["run.googleapis.com/cpu-throttling"] != "false" || annotations["autoscaling.knative.dev/minScale"] < "1" {
		t.Errorf("the instances have no CPU or do not exist while no request is there: %v", annotations)
	}
	var names []string
	for _, variable := range service.Spec.Template.Spec.Containers[0].Env {
		names = append(names, variable.Name)
	}
	slices.Sort(names)
	if want := []string{"SCRIBEGATE_DSN", "SCRIBEGATE_KEY", "SCRIBEGATE_SIGNING_SECRET", "SCRIBEGATE_UPSTREAM", "SOAPNOTE_SECRET", "SONIOX_WEBHOOK_SECRET"}; !slices.Equal(names, want) {
		t.Errorf("the variables are %q, want %q", names, want)
	}
}
