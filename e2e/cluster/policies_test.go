// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/verifier/admission"
)

// everyPolicy: a second policy about the same images takes away, and never adds.
func (w *world) everyPolicy(t *testing.T) {
	t.Run("another signer", func(t *testing.T) {
		p := w.appPolicy()
		p.Name = "aaa-release-team" // before the other one by name
		p.Spec.Images = []string{w.lab.Registry + "/"}
		p.Spec.Signers[0].Subject = "https://github.com/acme/release/.github/workflows/release.yml@refs/heads/main"
		w.temporaryPolicy(t, p)
		wantDenied(t, w.tryPod(t, pod("p", w.signed)), `policy "aaa-release-team"`, appWorkflow)
		wantDenied(t, w.tryPod(t, pod("p", w.unsigned)), "hallmark sign")
	})
	t.Run("a longer prefix does not replace a shorter one", func(t *testing.T) {
		p := w.appPolicy()
		p.Name = "app-by-anybody"
		p.Spec.Images = []string{w.lab.Registry + "/acme/app/"}
		p.Spec.Mode = policy.ModeWarn
		w.temporaryPolicy(t, p)
		below := w.lab.PushSmall(t, "acme/app/worker", "unsigned")
		err := w.tryPod(t, pod("p", below))
		wantDenied(t, err, `policy "acme"`)
		if err != nil && strings.Contains(err.Error(), `policy "app-by-anybody"`) {
			t.Errorf("a policy that only warns is part of the denial: %v", err)
		}
	})
	t.Run("attestation missing", func(t *testing.T) {
		w.changePolicy(t, "acme", func(s *policy.TrustPolicySpec) {
			s.Require.Attestations = []policy.AttestationRequirement{{Name: "sbom", PredicateTypes: []string{"https://spdx.dev/Document"}, Signers: []string{"ci"}}}
		})
		wantDenied(t, w.tryPod(t, pod("p", w.signed)), "sbom", "https://spdx.dev/Document")
	})
	t.Run("evidence about platforms", func(t *testing.T) {
		ask := func(t *testing.T, platform string) {
			t.Helper()
			w.changePolicy(t, "acme", func(s *policy.TrustPolicySpec) {
				s.Signers = append(s.Signers, policy.Signer{Name: "hallmark", Issuer: w.lab.URL, Subject: w.lab.URL + "/attestor"})
				s.Require.Evidence = &policy.EvidenceRequirement{Signers: []string{"hallmark"}, SBOM: true, Platforms: []string{platform}}
			})
		}
		image := w.signedImage(t, "platforms")
		t.Run("that runs", func(t *testing.T) {
			ask(t, "linux/amd64")
			wantDenied(t, w.tryPod(t, pod("p", image)), "platform linux/amd64", "none (hint: attest an SBOM")
			sbom := filepath.Join(t.TempDir(), "sbom.json")
			must(t, os.WriteFile(sbom, []byte(`{"spdxVersion": "SPDX-2.3", "packages": [{"name": "app"}]}`), 0o600))
			if got := w.lab.Hallmark(t, w.lab.Token(t, devissuer.GitHub), "attest", image, "--platform", "linux/amd64", "--sbom", sbom); got.Code != 0 {
				t.Fatalf("exit code %d: %s", got.Code, got.Stderr)
			}
			wantAllowed(t, w.tryPod(t, pod("p", image)))
		})
		t.Run("that the index lacks", func(t *testing.T) {
			ask(t, "linux/s390x")
			wantDenied(t, w.tryPod(t, pod("p", image)), "none of the platforms", "linux/s390x")
		})
	})
	wantAllowed(t, w.tryPod(t, pod("p", w.signed)))
}

func (w *world) warn(t *testing.T) {
	kube, warnings := w.listening(t)
	try := func(namespace, image string) ([]string, error) {
		warnings.all = nil
		p := pod("p", image)
		p.Namespace = namespace
		_, err := kube.CoreV1().Pods(namespace).Create(t.Context(), p, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return warnings.all, err
	}
	w.Namespace(t, "sandbox")
	w.Namespace(t, "sandbox-2")
	t.Run("in one namespace", func(t *testing.T) {
		w.changePolicy(t, "acme", func(s *policy.TrustPolicySpec) {
			s.Namespaces = []policy.NamespaceMode{{Namespace: "sandbox", Mode: policy.ModeWarn, Until: time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}}
		})
		for image, reason := range map[string]string{w.unsigned: "hallmark sign", w.tagged: "has no digest"} {
			heard, err := try("sandbox", image)
			wantAllowed(t, err)
			if len(heard) != 1 || !strings.Contains(heard[0], `container "main"`) || !strings.Contains(heard[0], reason) || len(heard[0]) > 256 {
				t.Errorf("%s: warnings %q, want one that says %q", image, heard, reason)
			}
		}
		heard, err := try("sandbox", w.signed)
		wantAllowed(t, err)
		if len(heard) != 0 {
			t.Errorf("a signed image earned warnings %q", heard)
		}
		for _, image := range []string{foreign, "nginx", w.elsewhere} { // a mode of a policy that does not cover them
			_, err := try("sandbox", image)
			wantDenied(t, err)
		}
		for _, namespace := range []string{"default", "sandbox-2"} {
			_, err := try(namespace, w.unsigned)
			wantDenied(t, err)
		}
	})
	t.Run("whole policy, one namespace excepted", func(t *testing.T) {
		w.changePolicy(t, "acme", func(s *policy.TrustPolicySpec) {
			s.Mode = policy.ModeWarn
			s.Namespaces = []policy.NamespaceMode{{Namespace: "sandbox", Mode: policy.ModeEnforce}}
		})
		heard, err := try("default", w.unsigned)
		wantAllowed(t, err)
		if len(heard) != 1 {
			t.Errorf("warnings: %q", heard)
		}
		_, err = try("sandbox", w.unsigned)
		wantDenied(t, err)
	})
	t.Run("until a time that has come", func(t *testing.T) {
		w.changePolicy(t, "acme", func(s *policy.TrustPolicySpec) {
			s.Namespaces = []policy.NamespaceMode{{Namespace: "sandbox", Mode: policy.ModeWarn, Until: "2026-01-01T00:00:00Z"}}
		})
		_, err := try("sandbox", w.unsigned)
		wantDenied(t, err)
	})
}

// invalidPolicy gets past the custom resource definition and is caught by the controller. It denies what it covers; it is not skipped.
func (w *world) invalidPolicy(t *testing.T) {
	p := w.appPolicy()
	p.Name = "broken"
	p.Spec.Mode = policy.ModeWarn
	p.Spec.Signers[0].Subject, p.Spec.Signers[0].SubjectRegexp = "", "("
	w.createPolicy(t, p)
	t.Cleanup(func() {
		must(t, client.IgnoreNotFound(w.Client.Delete(context.WithoutCancel(t.Context()), p)))
	})
	condition := ready(w.awaitRead(t, "broken"))
	if condition == nil || condition.Status != metav1.ConditionFalse || condition.Reason != admission.ReasonInvalid || !strings.Contains(condition.Message, "subjectRegexp") {
		t.Errorf("condition %+v", condition)
	}
	wantDenied(t, w.tryPod(t, pod("p", w.signed)), `policy "broken" is invalid`, "subjectRegexp")
	if err := w.tryPod(t, pod("p", w.elsewhere)); err == nil || strings.Contains(err.Error(), "broken") {
		t.Errorf("about an image that it does not cover: %v", err)
	}

	must(t, w.Client.Get(t.Context(), client.ObjectKeyFromObject(p), p))
	p.Spec.Signers[0].SubjectRegexp = `https://github[.]com/acme/app/.+`
	must(t, w.Client.Update(t.Context(), p)) // repaired: in force at once
	condition = ready(w.awaitRead(t, "broken"))
	if condition == nil || condition.Status != metav1.ConditionTrue {
		t.Errorf("repaired: condition %+v", condition)
	}
	wantAllowed(t, w.tryPod(t, pod("p", w.signed)))
	must(t, w.Client.Delete(t.Context(), p))
}

// refusedPolicies are mistakes that `kubectl apply` already reports.
func (w *world) refusedPolicies(t *testing.T) {
	good := w.appPolicy()
	good.Name = "refused"
	base := toUnstructured(t, good)
	base.SetGroupVersionKind(admission.GroupVersion().WithKind("ImageTrustPolicy"))
	unstructured.RemoveNestedField(base.Object, "status")
	set := func(value any, path ...string) func(map[string]any) {
		return func(o map[string]any) {
			must(t, unstructured.SetNestedField(o, value, append([]string{"spec"}, path...)...))
		}
	}
	signer := func(fields ...string) func(map[string]any) {
		one := map[string]any{"name": "ci"}
		for i := 0; i < len(fields); i += 2 {
			one[fields[i]] = fields[i+1]
		}
		return set([]any{one}, "signers")
	}
	images := func(prefix string) func(map[string]any) { return set([]any{prefix}, "images") }
	attestation := func(types []any, signers []any) func(map[string]any) {
		return set([]any{map[string]any{"name": "sbom", "predicateTypes": types, "signers": signers}}, "require", "attestations")
	}
	evidence := func(fields ...any) func(map[string]any) {
		all := map[string]any{"signers": []any{good.Spec.Signers[0].Name}, "sbom": true}
		for i := 0; i < len(fields); i += 2 {
			all[fmt.Sprint(fields[i])] = fields[i+1]
		}
		return set(all, "require", "evidence")
	}
	namespace := func(fields map[string]any) func(map[string]any) { return set([]any{fields}, "namespaces") }
	for name, change := range map[string]func(map[string]any){
		"no images":                    set([]any{}, "images"),
		"glob":                         images("registry.example/*"),
		"no slash at the end":          images("registry.example/prod"),
		"upper case":                   images("Registry.example/prod/"),
		"everything":                   images("/"),
		"empty prefix":                 images(""),
		"no signers":                   set([]any{}, "signers"),
		"signer without issuer":        signer("subject", "x"),
		"signer without subject":       signer("issuer", "https://i"),
		"signer with both subjects":    signer("issuer", "https://i", "subject", "x", "subjectRegexp", "x"),
		"signer with both issuers":     signer("issuer", "https://i", "issuerRegexp", "x", "subject", "x"),
		"signer with an empty subject": signer("issuer", "https://i", "subject", ""),
		"signature by nobody":          set([]any{}, "require", "signature", "signers"),
		"signature by a stranger":      set([]any{"nobody"}, "require", "signature", "signers"),
		"nothing required":             set(map[string]any{}, "require"),
		"attestation by nobody":        attestation([]any{"https://t"}, []any{}),
		"attestation by a stranger":    attestation([]any{"https://t"}, []any{"nobody"}),
		"attestation of no type":       attestation([]any{}, []any{"ci"}),
		"evidence about no platform":   evidence("platforms", []any{"linux"}),
		"evidence about platforms":     evidence("index", "index", "platforms", []any{"linux/amd64"}),
		"evidence about a part":        evidence("index", "layers"),
		"unknown mode":                 set("Audit", "mode"),
		"namespace glob":               namespace(map[string]any{"namespace": "dev-*", "mode": "Enforce"}),
		"warning without an end":       namespace(map[string]any{"namespace": "dev", "mode": "Warn"}),
		"warning until no time":        namespace(map[string]any{"namespace": "dev", "mode": "Warn", "until": "soon"}),
		"unknown field":                set("x", "failOpen"),
		"unknown field of a signer":    signer("issuer", "https://i", "subject", "x", "anyone", "true"),
	} {
		t.Run(name, func(t *testing.T) {
			object := base.DeepCopy()
			change(object.Object)
			err := w.Client.Create(t.Context(), object, client.FieldValidation("Strict"), client.DryRunAll)
			if !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
				t.Errorf("got %v, want it refused", err)
			}
		})
	}
	evidence("platforms", []any{"linux/amd64", "linux/arm/v7"}, "index", "either")(base.Object)
	if err := w.Client.Create(t.Context(), base.DeepCopy(), client.FieldValidation("Strict"), client.DryRunAll); err != nil {
		t.Errorf("the policy that all of these were made from: %v", err)
	}
}

// shipped: what deploy/ holds is accepted by a real API server, to the last field.
func (w *world) shipped(t *testing.T) {
	for _, path := range []string{"deploy/controller/deployment.yaml", "deploy/policy/image-trust-policy.yaml"} {
		for i, document := range strings.Split(string(w.read(t, filepath.FromSlash(path))), "\n---\n") {
			var object unstructured.Unstructured
			must(t, yaml.Unmarshal([]byte(document), &object.Object))
			object.SetName("shipped") // the example's own name is taken here
			if err := w.Client.Create(t.Context(), &object, client.FieldValidation("Strict"), client.DryRunAll); err != nil {
				t.Errorf("%s, document %d: %v", path, i, err)
			}
		}
	}
	var example admission.ImageTrustPolicy
	must(t, yaml.UnmarshalStrict(w.read(t, filepath.Join("deploy", "policy", "image-trust-policy.yaml")), &example))
	if compiled := admission.Compile(&example); compiled.Problem != nil {
		t.Error(compiled.Problem)
	}
}

// ownNamespace: where the webhook does not look, the API server lets nothing run but the controller's image.
func (w *world) ownNamespace(t *testing.T) {
	w.Apply(t, filepath.Join("deploy", "controller", "own-namespace.yaml"))
	const ours = "registry.corp.example/hallmark/hallmark-controller@sha256:0000000000000000000000000000000000000000000000000000000000000000"
	in := func(image string) *corev1.Pod {
		p := pod("p", image)
		p.Namespace = "hallmark-system"
		return p
	}
	refused := func(err error) bool {
		return apierrors.IsForbidden(err) && strings.Contains(fmt.Sprint(err), "only hallmark-controller's own image")
	}
	w.Eventually(t, "the admission policy is in force", func(context.Context) bool { return refused(w.tryPod(t, in(w.unsigned))) })
	wantAllowed(t, w.tryPod(t, in(ours)))
	for _, image := range []string{w.signed, foreign, "nginx", ours + "0", strings.Split(ours, "@")[0]} {
		if err := w.tryPod(t, in(image)); !refused(err) {
			t.Errorf("%s: %v", image, err)
		}
	}
	second, volume, first := in(ours), in(ours), in(ours)
	second.Spec.Containers = append(second.Spec.Containers, corev1.Container{Name: "second", Image: w.signed})
	first.Spec.InitContainers = []corev1.Container{{Name: "init", Image: w.signed}}
	volume.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: w.signed}}}}
	for _, p := range []*corev1.Pod{second, first, volume} {
		if err := w.tryPod(t, p); !refused(err) {
			t.Errorf("got %v", err)
		}
	}
}
