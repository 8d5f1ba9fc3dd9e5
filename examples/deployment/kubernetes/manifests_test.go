// Package kubernetes_test checks the manifests against the types of Kubernetes' API. It is a
// module of its own, so that the module of the gateway does not depend on Kubernetes.
package kubernetes_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Manifests are the objects of a file.
type manifests struct {
	config     corev1.ConfigMap
	set        *appsv1.StatefulSet
	deployment *appsv1.Deployment
	service    corev1.Service
	budget     *policyv1.PodDisruptionBudget
	ingress    networkingv1.Ingress
	template   corev1.PodTemplateSpec // of the set or the deployment
	kinds      []string
}

// decode decodes each document strictly: an unknown, repeated or differently capitalized
// field and a value of another type are errors.
func decode(text []byte) (m manifests, err error) {
	for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
		encoded, err := yaml.YAMLToJSONStrict(document)
		if err != nil {
			return m, err
		}
		var kind struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal(document, &kind); err != nil {
			return m, err
		}
		var object any
		switch kind.APIVersion + " " + kind.Kind {
		case "v1 ConfigMap":
			object = &m.config
		case "v1 Service":
			object = &m.service
		case "apps/v1 StatefulSet":
			m.set = new(appsv1.StatefulSet)
			object = m.set
		case "apps/v1 Deployment":
			m.deployment = new(appsv1.Deployment)
			object = m.deployment
		case "policy/v1 PodDisruptionBudget":
			m.budget = new(policyv1.PodDisruptionBudget)
			object = m.budget
		case "networking.k8s.io/v1 Ingress":
			object = &m.ingress
		default:
			return m, errors.New("the kind " + kind.APIVersion + " " + kind.Kind + " is not known to this test")
		}
		strict, err := kjson.UnmarshalStrict(encoded, object)
		if err := errors.Join(append(strict, err)...); err != nil {
			return m, err
		}
		m.kinds = append(m.kinds, kind.Kind)
	}
	switch {
	case m.set != nil:
		m.template = m.set.Spec.Template
	case m.deployment != nil:
		m.template = m.deployment.Spec.Template
	}
	return m, nil
}

func load(t *testing.T, file string) manifests {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m, err := decode(text)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return m
}

// TestManifests checks what the API server would refuse, and what it would not see: names
// that do not match.
func TestManifests(t *testing.T) {
	t.Parallel()
	for file, kinds := range map[string][]string{
		"one.yaml":     {"ConfigMap", "StatefulSet", "Service", "Ingress"},
		"several.yaml": {"ConfigMap", "Deployment", "PodDisruptionBudget", "Service", "Ingress"},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			m := load(t, file)
			if !slices.Equal(m.kinds, kinds) {
				t.Errorf("the objects are %q, want %q", m.kinds, kinds)
			}
			checkPod(t, m.template.Spec, m.config.Name)
			labels := m.template.Labels
			selectors := map[string]map[string]string{"the service": m.service.Spec.Selector}
			if m.set != nil {
				selectors["the set"] = m.set.Spec.Selector.MatchLabels
				if *m.set.Spec.Replicas != 1 || m.set.Spec.VolumeClaimTemplates[0].Spec.AccessModes[0] != corev1.ReadWriteOncePod {
					t.Error("more than one pod can use the queue's file")
				}
			} else {
				selectors["the deployment"] = m.deployment.Spec.Selector.MatchLabels
				selectors["the budget"] = m.budget.Spec.Selector.MatchLabels
				selectors["the spread"] = m.template.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels
				if replicas := *m.deployment.Spec.Replicas; replicas < 2 || m.budget.Spec.MaxUnavailable.IntValue() != 1 || m.deployment.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue() != 0 {
					t.Errorf("%d pods, and the update or a drain may stop the last one", replicas)
				}
			}
			for what, selector := range selectors {
				if len(selector) == 0 || selector["app.kubernetes.io/name"] != labels["app.kubernetes.io/name"] {
					t.Errorf("%s selects %v, the pods have %v", what, selector, labels)
				}
			}
			for _, port := range m.service.Spec.Ports {
				if !slices.ContainsFunc(m.template.Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool { return p.Name == port.TargetPort.String() }) {
					t.Errorf("no port of the pod is %s", port.TargetPort.String())
				}
			}
			for _, path := range m.ingress.Spec.Rules[0].HTTP.Paths {
				to := path.Backend.Service
				if to.Name != m.service.Name || !slices.ContainsFunc(m.service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == to.Port.Name }) {
					t.Errorf("the path %s leads to %s, port %s", path.Path, to.Name, to.Port.Name)
				}
			}
		})
	}
}

// checkPod checks that the pod meets the profile "restricted" of the Pod Security Standards,
// and its probes and volumes.
func checkPod(t *testing.T, pod corev1.PodSpec, config string) {
	t.Helper()
	c := pod.Containers[0]
	of, in := pod.SecurityContext, c.SecurityContext
	if !*of.RunAsNonRoot || *of.RunAsUser != 65532 || of.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault ||
		*in.AllowPrivilegeEscalation || !*in.ReadOnlyRootFilesystem || !slices.Equal(in.Capabilities.Drop, []corev1.Capability{"ALL"}) || *pod.AutomountServiceAccountToken {
		t.Errorf("the pod is not restricted: %+v, %+v", of, in)
	}
	for probe, want := range map[*corev1.Probe]string{c.StartupProbe: "live", c.LivenessProbe: "live", c.ReadinessProbe: "live"} {
		if got := strings.Join(probe.Exec.Command, " "); got != "/usr/bin/caddy scribegate health "+want {
			t.Errorf("a probe runs %q, want health %s", got, want)
		}
		if probe.TimeoutSeconds <= 5 {
			t.Errorf("a probe has %d s, and health answers within 5 s", probe.TimeoutSeconds)
		}
	}
	var mounted []string
	for _, m := range c.VolumeMounts {
		mounted = append(mounted, m.MountPath)
	}
	if want := []string{"/etc/scribegate", "/run/secrets/scribegate", "/var/lib/scribegate"}; !slices.Equal(mounted, want) {
		t.Errorf("the volumes are mounted at %q, want %q", mounted, want)
	}
	if pod.Volumes[0].ConfigMap.Name != config || *pod.Volumes[1].Secret.DefaultMode != 0o440 {
		t.Errorf("the volumes are %+v", pod.Volumes)
	}
	if pod.TerminationGracePeriodSeconds == nil || *pod.TerminationGracePeriodSeconds != 60 || c.Lifecycle.PreStop.Sleep.Seconds != 5 {
		t.Error("the pod is stopped too early")
	}
}

// TestDecodeIsStrict checks that decode finds the mistakes that it is for.
func TestDecodeIsStrict(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("one.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for right, wrong := range map[string]string{
		"runAsNonRoot:":       "runAsNonroot:",
		"replicas: 1":         "replicas: one",
		"periodSeconds: 30":   "period: 30",
		"  serviceName:":      "  replicas: 1\n  serviceName:",
		"kind: StatefulSet":   "kind: Statefulset",
		"        fsGroup:":    "      fsGroup:",
		"readOnlyRootFilesys": "readOnlyRootFileSys",
	} {
		if _, err := decode(bytes.Replace(text, []byte(right), []byte(wrong), 1)); err == nil {
			t.Errorf("%q in place of %q is not an error", wrong, right)
		}
	}
}

// TestCaddyfiles validates the Caddyfile of each ConfigMap with the gateway's own program.
func TestCaddyfiles(t *testing.T) {
	t.Parallel()
	binary := os.Getenv("SCRIBEGATE_CADDY")
	if binary == "" {
		binary = filepath.Join("..", "..", "..", "bin", "caddy")
	}
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("looking for the gateway: %v; run `make build`, or set SCRIBEGATE_CADDY", err)
	}
	for _, file := range []string{"one.yaml", "several.yaml"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, value := range map[string]string{
				"encryption-key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "signing": "whsec_c3ludGhldGljLXNpZ25pbmctc2VjcmV0LTAx",
				"soapnote": "whsec_c3ludGhldGljLXNvYXBub3RlLXNlY3JldA", "soniox": "synthetic-soniox-secret", "dsn": "postgres://scribegate@127.0.0.1/scribegate",
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			caddyfile := load(t, file).config.Data["Caddyfile"]
			command := exec.CommandContext(t.Context(), binary, "validate", "--adapter", "caddyfile", "--config", "-")
			command.Stdin = strings.NewReader(strings.ReplaceAll(caddyfile, "/run/secrets/scribegate", dir))
			if out, err := command.CombinedOutput(); err != nil || !strings.Contains(string(out), "Valid configuration") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
