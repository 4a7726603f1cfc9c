// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/hallmark-dev/hallmark/policy"
)

// GroupVersion is the API group and version of Hallmark's custom resources.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: "hallmark.dev", Version: "v1alpha1"}
}

// AddToScheme registers the custom resources with a client's scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion(), &ImageTrustPolicy{}, &ImageTrustPolicyList{})
	metav1.AddToGroupVersion(s, GroupVersion())
	return nil
}

// ImageTrustPolicy says who must have signed the images under some prefixes. It is cluster-scoped: tenants cannot write one.
// Every policy that covers an image must allow it; an image that no policy covers is denied.
type ImageTrustPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   policy.TrustPolicySpec `json:"spec"`
	Status ImageTrustPolicyStatus `json:"status,omitempty"`
}

// ImageTrustPolicyStatus is what the controller found out about the spec.
type ImageTrustPolicyStatus struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"` // the metadata.generation that Conditions speak about
	Conditions         []metav1.Condition `json:"conditions,omitempty"`         // one: ConditionReady
}

// ConditionReady is True when the spec is valid. While it is False the policy denies every image that it covers.
const ConditionReady = "Ready"

// Reasons of ConditionReady.
const (
	ReasonValid   = "Valid"
	ReasonInvalid = "Invalid"
)

// ImageTrustPolicyList is what a list request returns.
type ImageTrustPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ImageTrustPolicy `json:"items"`
}

// DeepCopyObject implements runtime.Object.
func (p *ImageTrustPolicy) DeepCopyObject() runtime.Object { return p.deepCopy() }

// DeepCopyObject implements runtime.Object.
func (l *ImageTrustPolicyList) DeepCopyObject() runtime.Object {
	out := &ImageTrustPolicyList{TypeMeta: l.TypeMeta, Items: make([]ImageTrustPolicy, len(l.Items))}
	l.ListMeta.DeepCopyInto(&out.ListMeta)
	for i := range l.Items {
		out.Items[i] = *l.Items[i].deepCopy()
	}
	return out
}

func (p *ImageTrustPolicy) deepCopy() *ImageTrustPolicy {
	out := &ImageTrustPolicy{TypeMeta: p.TypeMeta, Spec: *p.Spec.DeepCopy()}
	p.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	out.Status.ObservedGeneration = p.Status.ObservedGeneration
	out.Status.Conditions = slices.Clone(p.Status.Conditions) // conditions hold no pointers
	return out
}
