// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeadmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/hallmark-dev/hallmark/policy"
)

// webhookOver makes a webhook over a judge, with its log and metrics.
func webhookOver(t *testing.T, j *Judge) (*Webhook, *bytes.Buffer, *Metrics) {
	t.Helper()
	metrics, err := NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	w, err := NewWebhook(j, metrics, slog.New(slog.NewJSONHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return w, &log, metrics
}

// post sends a request to the webhook the way an API server does and returns the answer.
func post(t *testing.T, w *Webhook, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	t.Helper()
	body, err := json.Marshal(admissionv1.AdmissionReview{TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: req})
	if err != nil {
		t.Fatal(err)
	}
	return postRaw(t, w, body)
}

func postRaw(t *testing.T, w *Webhook, body []byte) *admissionv1.AdmissionResponse {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, Path, bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	(&kubeadmission.Webhook{Handler: w}).ServeHTTP(recorder, request)
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(recorder.Body.Bytes(), &answer); err != nil || answer.Response == nil {
		t.Fatalf("answer %q: %v", recorder.Body, err)
	}
	return answer.Response
}

func TestWebhookAnswers(t *testing.T) {
	unsigned := func(c *Config) {
		c.Decide = func(_ context.Context, _ policy.Image, ps []*policy.TrustPolicy) ([]Decision, error) {
			return repeat(said{reasons: []string{"no signature found: sign it in CI"}}, len(ps)), nil
		}
	}
	down := func(c *Config) {
		c.Decide = func(context.Context, policy.Image, []*policy.TrustPolicy) ([]Decision, error) {
			return nil, errors.New("registry unavailable")
		}
	}
	panics := func(c *Config) { c.Parse = func(string) (policy.Image, error) { panic("oops") } }
	enforce := []ImageTrustPolicy{trustPolicy("a", "reg.example/")}
	pod := podSpecWith(ref("app", 1), "", "", "")
	static := func(t *testing.T) *admissionv1.AdmissionRequest {
		spec := pod
		spec.NodeName = "n1"
		raw, err := json.Marshal(corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{corev1.MirrorPodAnnotationKey: "x"}}, Spec: spec})
		if err != nil {
			t.Fatal(err)
		}
		req := review(t, "Pod", spec, nil)
		req.Object.Raw = raw
		req.UserInfo = authenticationv1.UserInfo{Username: "system:node:n1", Groups: []string{"system:nodes"}}
		return req
	}
	tests := []struct {
		name     string
		judge    *Judge
		request  *admissionv1.AdmissionRequest
		outcome  outcome
		allowed  bool
		code     int32
		message  string
		warnings int
	}{
		{"signed", judgeWith(t, enforce), review(t, "Pod", pod, nil), allowed, true, 200, "", 0},
		{"unsigned", judgeWith(t, enforce, unsigned), review(t, "Pod", pod, nil), denied, false, 403,
			`1 of 1 images of Pod "thing" may not run in namespace "default":` + "\n" + `container "main": image "` + ref("app", 1) + `": no signature found: sign it in CI`, 0},
		{"unsigned deployment", judgeWith(t, enforce, unsigned), review(t, "Deployment", pod, nil), denied, false, 403, `Deployment "thing"`, 0},
		{"warn", judgeWith(t, []ImageTrustPolicy{trustPolicy("a", "reg.example/", warn)}, unsigned), review(t, "Pod", pod, nil), warned, true, 200, "", 1},
		{"registry down", judgeWith(t, enforce, down), review(t, "Pod", pod, nil), undecided, false, 503, "could not be decided: registry unavailable", 0},
		{"no policies yet", judgeWith(t, nil, func(c *Config) { c.Policies.synced = func() bool { return false } }), review(t, "Pod", pod, nil), undecided, false, 503, "not read yet", 0},
		{"panic", judgeWith(t, enforce, panics), review(t, "Pod", pod, nil), undecided, false, 500, "internal error", 0},
		{"unchanged", judgeWith(t, enforce, unsigned), review(t, "Pod", pod, &pod), unchanged, true, 200, "", 0},
		{"unreadable", judgeWith(t, enforce), review(t, "Pod", corev1.PodSpec{}, nil), unreadable, false, 403, "no containers", 0},
		{"static pod", judgeWith(t, enforce, unsigned), static(t), staticPod, true, 200, "", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w, log, metrics := webhookOver(t, test.judge)
			got := post(t, w, test.request)
			if got.Allowed != test.allowed || got.Result.Code != test.code || got.UID != test.request.UID {
				t.Errorf("allowed %t, code %d, uid %q; want %t, %d, %q", got.Allowed, got.Result.Code, got.UID, test.allowed, test.code, test.request.UID)
			}
			if !strings.Contains(got.Result.Message, test.message) {
				t.Errorf("message %q lacks %q", got.Result.Message, test.message)
			}
			if len(got.Warnings) != test.warnings {
				t.Errorf("warnings: %q, want %d", got.Warnings, test.warnings)
			}
			var count dto.Metric
			if err := metrics.requests.WithLabelValues(string(test.outcome)).Write(&count); err != nil || count.GetCounter().GetValue() != 1 {
				t.Errorf("outcome %q was counted %v times, want once (%v)", test.outcome, count.GetCounter().GetValue(), err)
			}
			if line := log.String(); strings.Count(line, `"msg":"admission"`) != 1 || !strings.Contains(line, `"outcome":"`+string(test.outcome)+`"`) {
				t.Errorf("log: %s", line)
			}
		})
	}
}

// A dry run gets the answer that the real request gets, word for word.
func TestWebhookAnswersDryRunsAlike(t *testing.T) {
	j := judgeWith(t, []ImageTrustPolicy{trustPolicy("a", "reg.example/prod/")})
	for _, image := range []string{ref("prod/app", 1), ref("test/app", 1), "nginx"} {
		w, _, _ := webhookOver(t, j)
		req := review(t, "Pod", podSpecWith(image, "", "", ""), nil)
		wet := post(t, w, req)
		yes := true
		req.DryRun = &yes
		if dry := post(t, w, req); !reflect.DeepEqual(dry, wet) {
			t.Errorf("%s: dry run %+v, real request %+v", image, dry, wet)
		}
	}
}

func TestWebhookDeniesWhatIsNoReview(t *testing.T) {
	w, _, _ := webhookOver(t, judgeWith(t, []ImageTrustPolicy{trustPolicy("a", "reg.example/")}))
	for _, body := range []string{``, `{}`, `null`, `[]`, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`,
		`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":null}`,
		`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","operation":"CREATE","kind":{"version":"v1","kind":"Pod"}}}`,
		`{"apiVersion":"v1","kind":"Pod"}`} {
		if got := postRaw(t, w, []byte(body)); got.Allowed {
			t.Errorf("%s: allowed", body)
		}
	}
}

func TestMessagesStayShortAndOnTheirLines(t *testing.T) {
	hostile := "reg.example/x\n\r\tALLOWED\u200b\u202e" + strings.Repeat("a", 5000) + "\xff"
	finding := Finding{Position: Position{Containers, "c\nd", hostile}, Cells: []Cell{
		{Reasons: []string{"line\nbreak", strings.Repeat("é", 3000), "\xff\x00"}}, {Mode: policy.ModeWarn, Reasons: []string{"warn\n" + strings.Repeat("é", 500)}}}}
	v := Verdict{Namespace: "ns", Object: "Pod \"p\"", Findings: make([]Finding, 100)}
	for i := range v.Findings {
		v.Findings[i] = finding
	}
	message := v.Message()
	lines := strings.Split(message, "\n")
	if len(lines) != maxLines+2 || lines[len(lines)-1] != "and 88 more" {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
	if !strings.HasPrefix(lines[0], "100 of 100 images") {
		t.Errorf("headline %q", lines[0])
	}
	for _, line := range lines {
		if len(line) > maxLine || !utf8.ValidString(line) || strings.ContainsAny(line, "\u200b\u202e\x00\r\t") {
			t.Errorf("line of %d bytes: %q", len(line), line)
		}
	}
	warnings := v.Warnings()
	if len(warnings) != maxLines+1 {
		t.Errorf("%d warnings", len(warnings))
	}
	for _, warning := range warnings {
		if len(warning) > maxWarning || !utf8.ValidString(warning) || strings.Contains(warning, "\n") {
			t.Errorf("warning %q", warning)
		}
	}
}

func FuzzOneLine(f *testing.F) {
	f.Add("plain", 10)
	f.Add("é\n\x00\xff…", 4)
	f.Add("", 3)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		if limit < len(ellipsis) || limit > 1<<20 {
			return
		}
		got := oneLine(text, limit)
		if len(got) > limit || !utf8.ValidString(got) || strings.ContainsAny(got, "\n\r\x00\u200b") {
			t.Errorf("oneLine(%q, %d) = %q", text, limit, got)
		}
	})
}

func TestNewMetricsTwiceIsAnError(t *testing.T) {
	registry := prometheus.NewRegistry()
	if _, err := NewMetrics(registry); err != nil {
		t.Fatal(err)
	}
	if _, err := NewMetrics(registry); err == nil {
		t.Error("no error")
	}
}
