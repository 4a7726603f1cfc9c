// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// Path is where the webhook server offers the Webhook; the ValidatingWebhookConfiguration names it.
const Path = "/validate-images"

// Webhook answers AdmissionReviews. It implements controller-runtime's admission.Handler.
type Webhook struct {
	judge   *Judge
	log     *slog.Logger
	metrics *Metrics
}

// NewWebhook makes a Webhook. All arguments are compulsory.
func NewWebhook(judge *Judge, metrics *Metrics, log *slog.Logger) (*Webhook, error) {
	if judge == nil || metrics == nil || log == nil {
		return nil, errors.New("webhook needs a judge, metrics and a logger")
	}
	return &Webhook{judge: judge, log: log, metrics: metrics}, nil
}

// outcome is the one word for a request in metrics and logs.
type outcome string

const (
	allowed    outcome = "allowed"
	unchanged  outcome = "unchanged" // no new image references
	warned     outcome = "warned"    // allowed, but a policy in mode Warn refuses
	staticPod  outcome = "static"    // refused, but the node runs the pod already
	denied     outcome = "denied"
	undecided  outcome = "undecided"  // denied, because nobody could tell
	unreadable outcome = "unreadable" // denied, because the request makes no sense
)

// Handle answers one request, counts it and writes one log line about it. A panic denies.
func (w *Webhook) Handle(ctx context.Context, req admission.Request) (response admission.Response) {
	start := time.Now()
	result := undecided
	var verdict Verdict
	defer func() {
		if cause := recover(); cause != nil {
			w.log.ErrorContext(ctx, "panic while a request was judged", "uid", req.UID, "panic", cause, "stack", string(debug.Stack()))
			result, response = undecided, deny(http.StatusInternalServerError, metav1.StatusReasonInternalError, "internal error, see the hallmark-controller's log")
		}
		w.metrics.observe(result, time.Since(start))
		w.record(ctx, &req.AdmissionRequest, result, verdict, response, time.Since(start))
	}()

	question, err := Ask(&req.AdmissionRequest)
	if err != nil {
		result = unreadable
		return deny(http.StatusForbidden, metav1.StatusReasonForbidden, oneLine(err.Error(), maxLine))
	}
	if len(question.Judge) == 0 {
		result = unchanged
		return admission.Allowed("")
	}
	verdict, err = w.judge.Judge(ctx, question)
	if err != nil {
		return deny(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, oneLine("could not be decided: "+err.Error(), maxLine))
	}
	result, response = respond(question, verdict)
	return response
}

// respond translates a verdict.
func respond(q Question, v Verdict) (outcome, admission.Response) {
	warnings := v.Warnings()
	switch {
	case v.Allowed() && len(warnings) == 0:
		return allowed, admission.Allowed("")
	case v.Allowed():
		return warned, admission.Allowed("").WithWarnings(warnings...)
	case q.StaticPod:
		return staticPod, admission.Allowed("").WithWarnings(oneLine("hallmark: the node runs a static pod that would be denied: "+v.Message(), maxWarning))
	case v.Undecided():
		return undecided, deny(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, v.Message()).WithWarnings(warnings...)
	default:
		return denied, deny(http.StatusForbidden, metav1.StatusReasonForbidden, v.Message()).WithWarnings(warnings...)
	}
}

func deny(code int32, reason metav1.StatusReason, message string) admission.Response {
	return admission.Response{AdmissionResponse: admissionv1.AdmissionResponse{
		Allowed: false,
		Result:  &metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message},
	}}
}

// record writes the request's one log line. References and messages are hostile text, which slog's handlers quote.
func (w *Webhook) record(ctx context.Context, req *admissionv1.AdmissionRequest, result outcome, v Verdict, response admission.Response, took time.Duration) {
	level := slog.LevelInfo
	switch result {
	case staticPod:
		level = slog.LevelError
	case denied, undecided, unreadable, warned:
		level = slog.LevelWarn
	}
	message := ""
	if response.Result != nil {
		message = response.Result.Message
	}
	w.log.LogAttrs(ctx, level, "admission",
		slog.String("outcome", string(result)),
		slog.String("uid", string(req.UID)),
		slog.String("operation", string(req.Operation)),
		slog.String("kind", req.Kind.Kind),
		slog.String("subresource", req.SubResource),
		slog.String("namespace", req.Namespace),
		slog.String("name", req.Name),
		slog.String("user", req.UserInfo.Username),
		slog.Bool("dryRun", req.DryRun != nil && *req.DryRun),
		slog.Int("images", len(v.Findings)),
		slog.String("message", message),
		slog.Any("warnings", response.Warnings),
		slog.Duration("took", took))
}
