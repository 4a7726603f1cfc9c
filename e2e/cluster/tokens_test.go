// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// tokens: a pod's own token names the pod; one that a person asked for does not. The keys are shown to whom the cluster lets see them.
func (w *world) tokens(t *testing.T) {
	const audience = "https://hallmark.test"
	job := pod("job", w.signed)
	job.Spec.ServiceAccountName = "default"
	p, err := w.create(t, job)
	must(t, err)
	claims := func(token string) (parsed struct {
		Iss        string   `json:"iss"`
		Aud        []string `json:"aud"`
		Kubernetes struct {
			Pod *struct {
				Name string `json:"name"`
				UID  string `json:"uid"`
			} `json:"pod"`
		} `json:"kubernetes.io"`
	}) {
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
		must(t, err)
		must(t, json.Unmarshal(payload, &parsed))
		return parsed
	}
	bound := claims(w.PodToken(t, p, audience))
	if bound.Kubernetes.Pod == nil || bound.Kubernetes.Pod.UID != string(p.UID) || bound.Iss != w.Issuer || len(bound.Aud) != 1 || bound.Aud[0] != audience {
		t.Errorf("pod's token: %+v", bound)
	}
	if loose := claims(w.AccountToken(t, "default", "default", audience)); loose.Kubernetes.Pod != nil {
		t.Errorf("account's token: %+v", loose)
	}
	bearer, err := os.ReadFile(w.discovery)
	must(t, err)
	document, err := w.get(t, w.Issuer+"/.well-known/openid-configuration", string(bearer))
	must(t, err)
	if !strings.Contains(document, `"jwks_uri":"`+w.JWKSURI()+`"`) {
		t.Errorf("discovery: %s", document)
	}
	keys, err := w.get(t, w.JWKSURI(), string(bearer))
	must(t, err)
	if !strings.Contains(keys, `"kty"`) {
		t.Errorf("keys: %s", keys)
	}
}

// podSigns: a pipeline in the cluster signs with the token of its own pod. A token that a person made for the same account signs nothing.
func (w *world) podSigns(t *testing.T) {
	const namespace, account = "acme-ci", "release" // those of the shipped signing policy
	w.Namespace(t, namespace)
	w.ServiceAccount(t, namespace, account)
	run := pod("pipeline", w.signed)
	run.Namespace, run.Spec.ServiceAccountName = namespace, account
	pipeline, err := w.create(t, run)
	must(t, err)
	image := w.lab.PushSmall(t, "acme/pipeline", "v1")
	identity := []string{"--certificate-identity", "https://kubernetes.io/namespaces/acme-ci/serviceaccounts/release", "--certificate-oidc-issuer", w.Issuer}

	for name, token := range map[string]string{
		"without a pod":    w.AccountToken(t, namespace, account, w.lab.URL),
		"another audience": w.PodToken(t, pipeline, "https://kubernetes.default.svc"),
		"two audiences":    w.PodToken(t, pipeline, w.lab.URL, "https://kubernetes.default.svc"),
	} {
		if got := w.lab.Hallmark(t, token, "sign", image); got.Code != 1 {
			t.Errorf("token %s: exit code %d: %s", name, got.Code, got.Stderr)
		}
	}
	if got := w.lab.Hallmark(t, "", append([]string{"verify", image}, identity...)...); got.Code != 1 {
		t.Errorf("verify before signing: exit code %d: %s", got.Code, got.Stderr)
	}
	if got := w.lab.Hallmark(t, w.PodToken(t, pipeline, w.lab.URL), "sign", image); got.Code != 0 {
		t.Fatalf("the pod's token: exit code %d: %s\n%s", got.Code, got.Stderr, tail([]byte(w.lab.Log())))
	}
	if got := w.lab.Hallmark(t, "", append([]string{"verify", image}, identity...)...); got.Code != 0 {
		t.Errorf("verify: exit code %d: %s", got.Code, got.Stderr)
	}
	w.podDies(t, pipeline, image)
}

// reviewCache is how long an API server may stand by a token that it has seen before (its --help does not say so; the source does: ten
// seconds), with room for a busy machine.
const reviewCache = 40 * time.Second

// podDies: a token outlives its pod, and the cluster is asked: it signs nothing any more. Nor does the token of a pod that was made anew
// under the name.
func (w *world) podDies(t *testing.T, pipeline *corev1.Pod, image string) {
	ctx, now := context.WithoutCancel(t.Context()), int64(0)
	token, unseen := w.PodToken(t, pipeline, w.lab.URL), w.PodToken(t, pipeline, w.lab.URL)
	if got := w.lab.Hallmark(t, token, "sign", image); got.Code != 0 {
		t.Fatalf("while the pod runs: exit code %d: %s", got.Code, got.Stderr)
	}
	must(t, w.Kube.CoreV1().Pods(pipeline.Namespace).Delete(ctx, pipeline.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}))
	refused := func(token string) {
		t.Helper()
		for deadline := time.Now().Add(reviewCache); ; time.Sleep(500 * time.Millisecond) {
			got := w.lab.Hallmark(t, token, "sign", image)
			if got.Code == 1 && strings.Contains(got.Stderr, "not_confirmed") {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s after its pod the token still has exit code %d: %s", reviewCache, got.Code, got.Stderr)
			}
		}
	}
	refused(unseen)
	refused(token)
	again := pod(pipeline.Name, w.signed)
	again.Namespace, again.Spec.ServiceAccountName = pipeline.Namespace, pipeline.Spec.ServiceAccountName
	replaced, err := w.create(t, again)
	must(t, err)
	refused(token)
	if got := w.lab.Hallmark(t, w.PodToken(t, replaced, w.lab.URL), "sign", image); got.Code != 0 {
		t.Errorf("the token of the new pod: exit code %d: %s", got.Code, got.Stderr)
	}
}

// get fetches from the API server with a bearer token, trusting the cluster's CA only.
func (w *world) get(t *testing.T, url, bearer string) (string, error) {
	t.Helper()
	pem, err := os.ReadFile(w.CAFile)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	defer client.CloseIdleConnections()
	return fetch(t, &client, url, bearer)
}
