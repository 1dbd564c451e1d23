"""The learner of Keras on TensorFlow: a multilayer perceptron with embeddings, from layers of the library."""

import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from lakehouse.arrays import Floats
from scoring.estimators.early_stopping import WeightedRows
from training.networks.checkpoint import Checkpoint
from training.networks.graph import GraphBuilder
from training.networks.inputs import NetworkInputs
from training.networks.learner import Fitted, NetworkLearner
from training.networks.options import Diverged
from training.networks.rungs import RUNGS, RungPredictions, RungWatch
from training.networks.schedule import learning_rate
from training.networks.targets import LearnedLabels

MOST_EMBEDDED = 8  # width of the embedding of a category


class KerasMlpLearner(NetworkLearner):
    """Layers of rectified units on scaled numbers and embeddings. A fit has no checkpoint."""

    def _fitted(self, rows: WeightedRows, classes: int, checkpoint: Checkpoint, *, validates: bool) -> Fitted:
        epochs = self.options.epochs
        if validates:
            remaining, validation = rows.split()
            epochs = self._trained(remaining, classes, epochs, validation).epochs
        return self._trained(rows, classes, epochs, None)

    def _trained(
        self, rows: WeightedRows, classes: int, epochs: int, validation: WeightedRows | None
    ) -> "KerasFitted":
        """A network trained on the rows; its epochs are the best ones on validation rows, or all of them.

        Raises:
            Diverged: the loss is no number.
            FitStopped: the watch stops it.
        """
        keras = _keras()
        keras.utils.set_random_seed(self.options.seed)
        inputs = NetworkInputs.of(rows.x, self.sizes)
        learned = self._targets(classes, rows.y, rows.weights)
        network = self._network(keras, inputs, learned)
        optimiser = keras.optimizers.AdamW(0.0, weight_decay=self.options.weight_decay)
        optimiser.exclude_from_weight_decay(var_names=["bias", "embedding"])
        network.compile(optimiser, _loss(keras, classes), jit_compile=False)  # XLA takes seconds a fit

        def schedule(epoch: int, _rate: float) -> float:
            return self.options.learning_rate * learning_rate((epoch + 0.5) / self.options.epochs)

        callbacks = [keras.callbacks.LearningRateScheduler(schedule), keras.callbacks.TerminateOnNaN()]
        options: dict[str, Any] = {}
        if validation is not None:
            like = learned.like(self.task, validation.y, validation.weights)
            options = {"validation_data": (_arrays(inputs, validation.x), like.labels, like.weights)}
            callbacks.append(keras.callbacks.EarlyStopping("val_loss", patience=self.options.patience))
            if self.watch is not None:
                callbacks.append(_at_rungs(keras, self._reached(self.watch, network, inputs, learned, validation)))
        history = network.fit(
            _arrays(inputs, rows.x),
            learned.labels,
            sample_weight=learned.weights,
            epochs=epochs,
            batch_size=self.options.batch,
            callbacks=callbacks,
            verbose=0,
            **options,
        ).history
        for number, losses in enumerate(history["loss"] if validation is None else history["val_loss"], start=1):
            if not np.isfinite(losses):
                raise Diverged.after(number, self.options.learning_rate)
        best = epochs if validation is None else int(np.argmin(history["val_loss"])) + 1
        return KerasFitted(network, inputs, learned, best)

    def _reached(
        self, watch: RungWatch, network: Any, inputs: NetworkInputs, learned: LearnedLabels, validation: WeightedRows
    ) -> Callable[[], None]:
        """A call that tells the watch of the network as it is then."""
        arrays = _arrays(inputs, validation.x)

        def reached() -> None:
            sums = np.asarray(network(arrays, training=False), dtype=np.float64)
            watch.reach(validation.y, RungPredictions(self.task, learned, sums).predictions())

        return reached

    def _network(self, keras: Any, inputs: NetworkInputs, learned: LearnedLabels) -> Any:
        layers = keras.layers
        numbers = keras.Input((inputs.numbers,), dtype="float32")
        categories = [keras.Input((1,), dtype="int32") for _ in inputs.sizes]
        embedded = [
            layers.Flatten()(layers.Embedding(size, min(MOST_EMBEDDED, size), name=f"category_{index}")(category))
            for index, (size, category) in enumerate(zip(inputs.sizes, categories, strict=True))
        ]
        x = layers.Concatenate()([numbers, *embedded]) if embedded else numbers
        for index in range(self.shape["layers"]):
            x = layers.Dense(self.shape["width"], activation="relu", name=f"hidden_{index}")(x)
            x = layers.Dropout(self.shape["dropout"])(x)
        return keras.Model([numbers, *categories], layers.Dense(learned.outputs, name="last")(x))


class KerasFitted(Fitted):
    """A trained model of Keras."""

    def written(self, graph: GraphBuilder) -> str:
        numbers, categories = self.inputs.written(graph)
        parts = [numbers] if self.inputs.numbers else []
        for index, category in enumerate(categories):
            (weights,) = self.network.get_layer(f"category_{index}").get_weights()
            parts.append(graph.add("Gather", graph.constant(self.inputs.table(index, weights)), category))
        x = graph.add("Concat", *parts, axis=1)
        for layer in self.network.layers:
            if layer.name.startswith("hidden"):
                x = graph.add("Relu", graph.linear(x, *layer.get_weights()))
        return graph.linear(x, *self.network.get_layer("last").get_weights())

    def outputs(self, rows: Floats) -> Floats:
        return np.asarray(self.network(_arrays(self.inputs, rows), training=False), dtype=np.float64)


def _arrays(inputs: NetworkInputs, rows: Floats) -> list[Any]:
    numbers, categories = inputs.prepared(rows)
    return [numbers, *(column[:, None].astype(np.int32) for column in categories.T)]


def _at_rungs(keras: Any, call: Callable[[], None]) -> Any:
    """A callback that makes the call after the epochs of each rung."""

    def end(epoch: int, _logs: object) -> None:
        if epoch + 1 in RUNGS:
            call()

    return keras.callbacks.LambdaCallback(on_epoch_end=end)


def _loss(keras: Any, classes: int) -> Any:
    if not classes:
        return "mse"
    kind = keras.losses.BinaryCrossentropy if classes == 2 else keras.losses.SparseCategoricalCrossentropy
    return kind(from_logits=True)


def _keras() -> Any:
    """Keras on TensorFlow, with operations that repeat themselves bit by bit."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library about its own parts
        import keras
        import tensorflow

    tensorflow.config.experimental.enable_op_determinism()
    return keras
