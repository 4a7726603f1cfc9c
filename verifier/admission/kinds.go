// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"errors"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/json"
)

// ErrUnreadable is wrapped by the errors about a request whose object cannot be understood completely. Such a request is denied.
var ErrUnreadable = errors.New("cannot read the object")

// kind is one built-in kind that is, or makes, pods.
type kind struct {
	gvk  metav1.GroupVersionKind
	path string // JSON path of the pod spec, for messages and for the test that compares this table with the Kubernetes types
	read func(raw []byte) (*corev1.PodSpec, *metav1.ObjectMeta, error)
}

// kinds lists all served built-in kinds that embed a pod spec. The rules of the webhook configuration name the same resources.
// ControllerRevisions hold a template as raw bytes and are left out: they are inert, and pods made from them are judged as pods.
// Custom resources are left out for the same reason.
func kinds() []kind {
	return []kind{
		{gvk("", "Pod"), "spec", reader(func(o *corev1.Pod) (*corev1.PodSpec, *metav1.ObjectMeta) { return &o.Spec, &o.ObjectMeta })},
		{gvk("", "PodTemplate"), "template.spec", reader(func(o *corev1.PodTemplate) (*corev1.PodSpec, *metav1.ObjectMeta) {
			return &o.Template.Spec, &o.ObjectMeta
		})},
		{gvk("", "ReplicationController"), "spec.template.spec", reader(replicationControllerSpec)},
		{gvk("apps", "Deployment"), "spec.template.spec", reader(func(o *appsv1.Deployment) (*corev1.PodSpec, *metav1.ObjectMeta) {
			return &o.Spec.Template.Spec, &o.ObjectMeta
		})},
		{gvk("apps", "ReplicaSet"), "spec.template.spec", reader(func(o *appsv1.ReplicaSet) (*corev1.PodSpec, *metav1.ObjectMeta) {
			return &o.Spec.Template.Spec, &o.ObjectMeta
		})},
		{gvk("apps", "DaemonSet"), "spec.template.spec", reader(func(o *appsv1.DaemonSet) (*corev1.PodSpec, *metav1.ObjectMeta) {
			return &o.Spec.Template.Spec, &o.ObjectMeta
		})},
		{gvk("apps", "StatefulSet"), "spec.template.spec", reader(func(o *appsv1.StatefulSet) (*corev1.PodSpec, *metav1.ObjectMeta) {
			return &o.Spec.Template.Spec, &o.ObjectMeta
		})},
		{gvk("batch", "Job"), "spec.template.spec", reader(func(o *batchv1.Job) (*corev1.PodSpec, *metav1.ObjectMeta) {
			return &o.Spec.Template.Spec, &o.ObjectMeta
		})},
		{gvk("batch", "CronJob"), "spec.jobTemplate.spec.template.spec", reader(func(o *batchv1.CronJob) (*corev1.PodSpec, *metav1.ObjectMeta) {
			return &o.Spec.JobTemplate.Spec.Template.Spec, &o.ObjectMeta
		})},
	}
}

// replicationControllerSpec reads the one template that is a pointer. Without one there is nothing to judge, which readPodSpec refuses.
func replicationControllerSpec(o *corev1.ReplicationController) (*corev1.PodSpec, *metav1.ObjectMeta) {
	if o.Spec.Template == nil {
		return &corev1.PodSpec{}, &o.ObjectMeta
	}
	return &o.Spec.Template.Spec, &o.ObjectMeta
}

// gvk names a kind. All kinds that are served today are in v1 of their groups.
func gvk(group, kind string) metav1.GroupVersionKind {
	return metav1.GroupVersionKind{Group: group, Version: "v1", Kind: kind}
}

// kindOf finds the table entry of a request. The version counts too: a version that this table does not know may keep its pod spec elsewhere.
func kindOf(want metav1.GroupVersionKind) (kind, error) {
	for _, k := range kinds() {
		if k.gvk == want {
			return k, nil
		}
	}
	return kind{}, fmt.Errorf("%w: kind %q of %q is not one whose images are known here (hint: the webhook's rules must name only the resources of the shipped configuration)",
		ErrUnreadable, want.Kind, want.Group+"/"+want.Version)
}

// reader makes the decoder of one kind out of the function that finds the pod spec in it.
func reader[T any](find func(*T) (*corev1.PodSpec, *metav1.ObjectMeta)) func([]byte) (*corev1.PodSpec, *metav1.ObjectMeta, error) {
	return func(raw []byte) (*corev1.PodSpec, *metav1.ObjectMeta, error) {
		object := new(T)
		if err := decode(raw, object); err != nil {
			return nil, nil, err
		}
		spec, meta := find(object)
		return spec, meta, nil
	}
}

// decode reads JSON case-sensitively, as the API server does. A server newer than this program sends fields it does not know; they are
// ignored unless an image could hide in them. Duplicate members are refused.
func decode(raw []byte, into any) error {
	if len(raw) == 0 {
		return fmt.Errorf("%w: it is missing from the request", ErrUnreadable)
	}
	odd, err := json.UnmarshalStrict(raw, into)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	for _, problem := range odd {
		if !harmlessUnknownField(problem) {
			return fmt.Errorf("%w: %w (hint: this hallmark-controller may be too old for the cluster)", ErrUnreadable, problem)
		}
	}
	return nil
}

// harmlessUnknownField reports whether a finding of strict decoding is an unknown field in which no image can hide. Suspicious are a name
// that speaks of images or containers, and a new kind of volume: image volumes were such a novelty once.
func harmlessUnknownField(problem error) bool {
	path, unknown := strings.CutPrefix(problem.Error(), "unknown field ")
	path = strings.ToLower(strings.Trim(path, `"`))
	parent, name := "", path
	if dot := strings.LastIndex(path, "."); dot >= 0 {
		parent, name = path[:dot], path[dot+1:]
	}
	newVolume := strings.HasSuffix(parent, "]") && strings.Contains(parent[strings.LastIndex(parent, ".")+1:], "volumes[")
	return unknown && !newVolume && !strings.Contains(name, "image") && !strings.Contains(name, "container")
}
