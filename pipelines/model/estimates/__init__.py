"""What a training will cost before it starts: parameters, operations, memory and time, each by a closed form."""
