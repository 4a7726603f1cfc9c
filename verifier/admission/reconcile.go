// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Reconciler tells the author of an ImageTrustPolicy, in its status, whether the spec is valid. It decides nothing about images.
// Several replicas may run it at once: they come to the same status, and who is second writes nothing.
type Reconciler struct {
	client client.Client
	log    *slog.Logger
}

// NewReconciler makes a Reconciler.
func NewReconciler(c client.Client, log *slog.Logger) (*Reconciler, error) {
	if c == nil || log == nil {
		return nil, errors.New("reconciler needs a client and a logger")
	}
	return &Reconciler{client: c, log: log}, nil
}

// SetupWithManager makes the manager call Reconcile for every ImageTrustPolicy and every change to one.
func (r *Reconciler) SetupWithManager(m ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(m).Named("imagetrustpolicy").For(&ImageTrustPolicy{}).Complete(r)
}

// maxConditionMessage bounds what an error may write into a status, in bytes. The API allows 32 KiB; nobody reads that much.
const maxConditionMessage = 2048

// Reconcile writes the Ready condition of one policy.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var object ImageTrustPolicy
	if err := r.client.Get(ctx, req.NamespacedName, &object); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	compiled := Compile(&object)
	changed := meta.SetStatusCondition(&object.Status.Conditions, ready(compiled, object.Generation))
	if !changed && object.Status.ObservedGeneration == object.Generation {
		return ctrl.Result{}, nil
	}
	object.Status.ObservedGeneration = object.Generation
	if err := r.client.Status().Update(ctx, &object); err != nil {
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) { // changed under our hands: that change is another event
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, fmt.Errorf("write the status of ImageTrustPolicy %q: %w", object.Name, err)
	}
	r.log.InfoContext(ctx, "image trust policy read", "policy", object.Name, "generation", object.Generation, "valid", compiled.Problem == nil, "problem", compiled.Problem)
	return ctrl.Result{}, nil
}

func ready(p Policy, generation int64) metav1.Condition {
	condition := metav1.Condition{Type: ConditionReady, ObservedGeneration: generation, Status: metav1.ConditionTrue, Reason: ReasonValid, Message: "the policy is in force"}
	if p.Problem != nil {
		condition.Status, condition.Reason = metav1.ConditionFalse, ReasonInvalid
		condition.Message = oneLine("every image that this policy covers is denied until it is repaired: "+p.Problem.Error(), maxConditionMessage)
	}
	return condition
}
